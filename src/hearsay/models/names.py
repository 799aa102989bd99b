"""The names of models: ids, aliases, the operator's own, and names of hosted models that mean a default.

Knows neither what is installed nor which model is the default for what.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from hearsay.domain import RECOGNITION, ModelCard, Task
from hearsay.errors import ConfigurationError, ModelNotFound
from hearsay.models.hosted_names import HOSTED_LANGUAGES, HOSTED_RECOGNIZERS, HOSTED_SYNTHESIZERS

AUTO = "auto"
"""The name of the default that is the best installed model for the machine."""

_HOSTED = dict.fromkeys(HOSTED_RECOGNIZERS, RECOGNITION) | dict.fromkeys(
    HOSTED_SYNTHESIZERS, frozenset({Task.SYNTHESIZE})
)
"""Tasks of the hosted models by name."""


class Names:
    """Every known name of a model, in any case."""

    def __init__(
        self, known: Iterable[ModelCard], *, own: Iterable[str] = (), aliases: Mapping[str, str] | None = None
    ) -> None:
        """Index the names of cards, of which the earlier win; ids of `own` win over all other names."""
        self._cards = {card.id: card for card in known}
        self.aliases = dict(aliases or {})
        """The operator's own aliases: the name and the model that is meant."""
        self._ids = self._index(own)

    @property
    def hosted_names(self) -> tuple[str, ...]:
        """Names of hosted models that mean a default, unless an own model or alias has the name."""
        return tuple(name for name in _HOSTED if name not in self._ids)

    def tasks_of_hosted(self, name: str | None) -> frozenset[Task]:
        """Return the tasks for which a name means the default model; none for the name of a model.

        None, the empty string and `auto` do for all tasks, the name of a hosted model for what that one does.
        Raises: `ConfigurationError` for an alias that means itself.
        """
        target = self._resolve(name).casefold() if name else AUTO
        if target in self._ids:
            return frozenset()
        return frozenset(Task) if target == AUTO else _HOSTED.get(target, frozenset())

    def card(self, name: str) -> ModelCard:
        """Return the model of a name that means no default. Raises: `ModelNotFound`, naming the nearest."""
        target = self._resolve(name)
        found = self._ids.get(target.casefold())
        if found is None:
            raise ModelNotFound(f"The model `{name}` does not exist.{self._nearest(target)}")
        return self._cards[found]

    def implied_language(self, name: str | None) -> str | None:
        """Return the code of the language that a name implies; None for most names."""
        target = self._resolve(name).casefold() if name else AUTO
        return None if target in self._ids else HOSTED_LANGUAGES.get(target)

    def check_aliases(self) -> None:
        """Follow every alias to its end. Raises: `ConfigurationError` where one leads nowhere."""
        for alias in self.aliases:
            self.check(alias, f"the alias {alias}")

    def check(self, name: str, what: str) -> None:
        """Check that a name means a model. Raises: `ConfigurationError`, which begins with `what`."""
        try:
            if not self.tasks_of_hosted(name):
                self.card(name)
        except ModelNotFound as error:
            raise ConfigurationError(f"{what[0].upper()}{what[1:]} leads nowhere. {error.message}") from error

    def _index(self, own: Iterable[str]) -> dict[str, str]:
        names: dict[str, str] = {}
        for card in reversed(self._cards.values()):
            names.update({alias.casefold(): card.id for alias in card.aliases})
        names.update({id_.casefold(): id_ for id_ in self._cards})
        names.update({id_.casefold(): id_ for id_ in own})
        for alias in self.aliases:
            names.pop(alias.casefold(), None)
        return names

    def _alias(self, name: str) -> str | None:
        return next((to for alias, to in self.aliases.items() if alias.casefold() == name.casefold()), None)

    def _resolve(self, name: str) -> str:
        """Follow aliases, which may mean each other, to a name that is none. Raises: `ConfigurationError`."""
        resolved, passed = name, {name.casefold()}
        while (target := self._alias(resolved)) is not None:
            if target.casefold() in passed:
                raise ConfigurationError(f"The alias {name} means itself.")
            passed.add(target.casefold())
            resolved = target
        return resolved

    def _nearest(self, name: str) -> str:
        known = {alias.casefold(): alias for alias in (*_HOSTED, *self.aliases)} | self._ids
        close = difflib.get_close_matches(name.casefold(), known, n=5, cutoff=0.5)
        near = list(dict.fromkeys(known[text] for text in close))[:3]
        return (
            f" Did you mean {' or '.join(near)}?" if near else " `hearsay models list` shows what there is."
        )
