"""Whose turn it is: round robin between owners, first come first served within one.

Knows neither jobs nor threads. What an owner with a long line has waiting never holds up one who has little:
each gets one place in every round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Item = TypeVar("Item")


class RoundRobin(Generic[Owner, Item]):
    """Items that wait, each with an owner and a kind; one batch holds items of one kind."""

    def __init__(self) -> None:
        self._lines: dict[Owner, deque[tuple[Hashable, Item]]] = {}  # in the order of their turns

    def __len__(self) -> int:
        """Count what waits."""
        return sum(map(len, self._lines.values()))

    def add(self, owner: Owner, item: Item, kind: Hashable = None) -> None:
        """Put an item at the end of its owner's line; an owner without a line is the last to have a turn."""
        self._lines.setdefault(owner, deque()).append((kind, item))

    def owners(self) -> list[Owner]:
        """List those who wait, whose turn is next first."""
        return list(self._lines)

    def first(self) -> Item | None:
        """Return the item whose turn it is, and leave it where it is."""
        return next((line[0][1] for line in self._lines.values()), None)

    def n_compatible(self) -> int:
        """Count the items that could share a batch with the one whose turn it is, itself included."""
        if not self._lines:
            return 0
        kind = self._kind()
        return sum(kind == other for line in self._lines.values() for other, _ in line)

    def take(self, most: int) -> list[Item]:
        """Take a batch of the kind of the item whose turn it is: one of each owner in every round.

        Owners who were given something go to the end, so that whoever was not, because the batch was full or
        of another kind, is first in the next one: no kind waits for more rounds than there are owners.
        """
        taken: list[Item] = []
        if not self._lines:
            return taken
        kind = self._kind()
        while len(taken) < most:
            before = len(taken)
            for owner in list(self._lines):
                if len(taken) < most:
                    taken += self._take_one(owner, kind)
            if len(taken) == before:
                break
        return taken

    def take_first(self, fits: Callable[[Item], bool]) -> Item | None:
        """Take the first item that fits, looking in the order of turns at each owner's first."""
        for owner, line in self._lines.items():
            kind, item = line[0]
            if fits(item):
                self._take_one(owner, kind)
                return item
        return None

    def drop(self, owner: Owner) -> list[Item]:
        """Remove everything of one owner, and give it."""
        return [item for _, item in self._lines.pop(owner, ())]

    def _kind(self) -> Hashable:
        return next(iter(self._lines.values()))[0][0]

    def _take_one(self, owner: Owner, kind: Hashable) -> list[Item]:
        line = self._lines[owner]
        place = next((i for i, (other, _) in enumerate(line) if other == kind), None)
        if place is None:
            return []
        _, item = line[place]
        del line[place], self._lines[owner]
        if line:
            self._lines[owner] = line  # a dict's last place
        return [item]
