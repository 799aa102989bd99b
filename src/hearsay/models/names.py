"""What callers may call a model: ids, aliases, the operator's own, and names that mean a default.

Knows neither what is installed nor which model is the default for what.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from hearsay.domain import RECOGNITION, ModelCard, Task
from hearsay.errors import ConfigurationError, ModelNotFound
from hearsay.models import hosted_names

AUTO = "auto"
"""The default that is whatever installed model suits the machine best."""

_ALL = frozenset(Task)
_SPEECH = frozenset({Task.SYNTHESIZE})
_STAND_INS = dict.fromkeys(hosted_names.HOSTED_RECOGNIZERS, RECOGNITION) | dict.fromkeys(
    hosted_names.HOSTED_SYNTHESIZERS, _SPEECH
)


class Names:
    """Every name that has a meaning, and which."""

    def __init__(
        self, known: Iterable[ModelCard], *, own: Iterable[str] = (), aliases: Mapping[str, str] | None = None
    ) -> None:
        """Collect the names of cards, the more important first; ids of `own` come before other names."""
        self._cards = {card.id: card for card in known}
        self.aliases = dict(aliases or {})
        """The operator's own aliases: the name and the model that is meant."""
        self._ids = self._index(own)

    @property
    def hosted_names(self) -> tuple[str, ...]:
        """Names of hosted models that mean a default here (unless an own model or alias has the name)."""
        return tuple(name for name in _STAND_INS if name not in self._ids)

    def tasks_of_hosted(self, name: str | None) -> frozenset[Task]:
        """Say for which tasks a name means the default model; for none where it is the name of one.

        None, the empty string and `auto` do for all tasks, the name of a hosted model for what that one does.
        Raises: `ConfigurationError` for an alias that means itself.
        """
        meant = self._meant(name).casefold() if name else AUTO
        if meant in self._ids:
            return frozenset()
        return _ALL if meant == AUTO else _STAND_INS.get(meant, frozenset())

    def card(self, name: str) -> ModelCard:
        """Find the model of a name that is none for a default. Raises: `ModelNotFound` with the nearest."""
        meant = self._meant(name)
        found = self._ids.get(meant.casefold())
        if found is None:
            raise ModelNotFound(f"The model `{name}` does not exist.{self._nearest(meant)}")
        return self._cards[found]

    def implied_language(self, name: str | None) -> str | None:
        """Return the code of the language that a name asks for besides; None for most names."""
        meant = self._meant(name).casefold() if name else AUTO
        return None if meant in self._ids else hosted_names.HOSTED_LANGUAGES.get(meant)

    def check_aliases(self) -> None:
        """Follow every alias to its end. Raises: `ConfigurationError` where one leads nowhere."""
        for alias in self.aliases:
            self.check(alias, f"the alias {alias}")

    def check(self, name: str, what: str) -> None:
        """Look whether a name has a meaning. Raises: `ConfigurationError`, which tells `what` has none."""
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

    def _meant(self, name: str) -> str:
        """Follow aliases, which may mean each other, to a name that is none. Raises: `ConfigurationError`."""
        meant, passed = name, {name.casefold()}
        while (target := self._alias(meant)) is not None:
            if target.casefold() in passed:
                raise ConfigurationError(f"The alias {name} means itself.")
            passed.add(target.casefold())
            meant = target
        return meant

    def _nearest(self, name: str) -> str:
        everything = {alias.casefold(): alias for alias in (*_STAND_INS, *self.aliases)} | self._ids
        close = difflib.get_close_matches(name.casefold(), everything, n=5, cutoff=0.5)
        near = list(dict.fromkeys(everything[text] for text in close))[:3]
        return (
            f" Did you mean {' or '.join(near)}?" if near else " `hearsay models list` shows what there is."
        )
