"""The text fields of a request, in every spelling that clients use for lists, objects, flags and numbers.

Knows neither the names of the fields nor what they mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from hearsay.errors import InvalidRequest

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class FormFields:
    """The text fields of one request in the order in which they came, repeats included."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs: tuple[tuple[str, str], ...] = tuple(pairs)

    def one(self, name: str) -> str | None:
        """Return the last non-blank value of `name` (or `name[]`); None where there is none."""
        values = [value for value in self._values(name) if value.strip()]
        return values[-1] if values else None

    def many(self, name: str) -> list[str]:
        """Return all values of a list: repeated, with or without brackets, comma-separated, or JSON."""
        return [item for value in self._values(name) for item in _items(value, name)]

    def mapping(self, name: str) -> Mapping[str, str]:
        """Return an object sent as `name[key]=value` parts or as one JSON object.

        Empty where there is none.
        """
        found = {
            key[len(name) + 1 : -1]: value
            for key, value in self.pairs
            if key.startswith(f"{name}[") and key.endswith("]") and len(key) > len(name) + 2
        }
        text = self.one(name)
        if text is not None and text.lstrip().startswith("{"):
            found |= {key: _as_text(value) for key, value in _object(text, name).items() if value is not None}
        return MappingProxyType(found)

    def flag(self, name: str) -> bool:
        """Return a boolean, absent being false. Raises `InvalidRequest` for unusual spellings."""
        text = (self.one(name) or "false").strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise InvalidRequest(f"{name} must be true or false, not {_shown(text)}.", param=name)

    def number(self, name: str) -> float | None:
        """Return a finite number. Raises `InvalidRequest` for anything else."""
        text = self.one(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InvalidRequest(f"{name} must be a number, not {_shown(text)}.", param=name)
        return value

    def _values(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key in (name, f"{name}[]")]


def _items(value: str, name: str) -> list[str]:
    value = value.strip()
    if not value.startswith("["):
        return [item.strip() for item in value.split(",") if item.strip()]
    try:
        items = json.loads(value)
    except (ValueError, RecursionError):
        # Unquoted shells turn ["word"] into [word].
        return [item.strip(" \t\"'") for item in value.strip("[]").split(",") if item.strip(" \t\"'")]
    if not isinstance(items, list):
        raise InvalidRequest(f"{name} must be a list.", param=name)
    return [_as_text(item) for item in items]


def _object(text: str, name: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{name} is not a valid JSON object.", param=name) from error
    if not isinstance(found, dict):
        raise InvalidRequest(f"{name} must be an object.", param=name)
    return found


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def flatten(found: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the pairs that a form with the meaning of a JSON body has; nulls are absent."""
    pairs: list[tuple[str, str]] = []
    for key, value in found.items():
        if isinstance(value, list):
            pairs += [(f"{key}[]", _as_text(item)) for item in value]
        elif isinstance(value, dict):
            pairs += [
                (f"{key}[{inner}]", _as_text(item)) for inner, item in value.items() if item is not None
            ]
        elif value is not None:
            pairs.append((key, _as_text(value)))
    return pairs
