"""Round robin in two levels: between groups (API keys), and between the owners (requests) of each group.

Knows neither jobs nor threads. Within one owner items are first come, first served. An owner with many items
never delays one with few: each gets one place in every round, and so does each group.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Item = TypeVar("Item")


class RoundRobin(Generic[Owner, Item]):
    """Waiting items, each with an owner, a kind and perhaps a group; one batch holds items of one kind."""

    def __init__(self) -> None:
        # Both levels in the order of turns: whatever was served goes to the end of its dict.
        self._groups: dict[Hashable, dict[Owner, deque[tuple[Hashable, Item]]]] = {}
        self._group_of: dict[Owner, Hashable] = {}

    def __len__(self) -> int:
        return sum(len(items) for owners in self._groups.values() for items in owners.values())

    def add(self, owner: Owner, item: Item, kind: Hashable = None, group: Hashable = None) -> None:
        """Append an item to its owner's; an owner that had none has its turn after all others."""
        group = self._group_of.setdefault(owner, group)
        self._groups.setdefault(group, {}).setdefault(owner, deque()).append((kind, item))

    def owners(self) -> list[Owner]:
        """Return the owners of waiting items, in the order of turns within each group."""
        return [owner for owners in self._groups.values() for owner in owners]

    def first(self) -> Item | None:
        """Return the item whose turn it is, without taking it."""
        return next((item for _, item in self._heads()), None)

    def first_kind(self) -> Hashable:
        """Return the kind of the item whose turn it is; None where nothing waits."""
        return next((kind for kind, _ in self._heads()), None)

    def n_of_kind(self, kind: Hashable) -> int:
        owners = (items for owners in self._groups.values() for items in owners.values())
        return sum(kind == other for items in owners for other, _ in items)

    def take(self, most: int, kind: Hashable) -> list[Item]:
        """Take a batch of one kind: in every round one item of each group, from its owners in turn.

        Groups and owners that were served go to the end, so that those that were not, because the batch was
        full or of another kind, are first in the next one: no kind waits for more rounds than there are
        owners.
        """
        taken: list[Item] = []
        while len(taken) < most:
            before = len(taken)
            for group in list(self._groups):
                if len(taken) < most:
                    taken += self._take_of_group(group, kind)
            if len(taken) == before:
                break
        return taken

    def take_first(self, fits: Callable[[Item], bool]) -> Item | None:
        """Take the first item that fits, looking at each owner's first item in the order of turns."""
        for group, owners in self._groups.items():
            for owner, items in owners.items():
                if fits(items[0][1]):
                    return self._take(group, owner, 0)
        return None

    def drop(self, owner: Owner) -> list[Item]:
        if owner not in self._group_of:
            return []
        group = self._group_of.pop(owner)
        items = self._groups[group].pop(owner)
        if not self._groups[group]:
            del self._groups[group]
        return [item for _, item in items]

    def _heads(self) -> Iterator[tuple[Hashable, Item]]:
        for owners in self._groups.values():
            for items in owners.values():
                yield items[0]

    def _take_of_group(self, group: Hashable, kind: Hashable) -> list[Item]:
        """Take one item of a kind from the first owner of a group that has one."""
        for owner, items in self._groups[group].items():
            index = next((i for i, (other, _) in enumerate(items) if other == kind), None)
            if index is not None:
                return [self._take(group, owner, index)]
        return []

    def _take(self, group: Hashable, owner: Owner, index: int) -> Item:
        """Take an item, and move its owner and its group to the end."""
        owners = self._groups.pop(group)
        items = owners.pop(owner)
        _, item = items[index]
        del items[index]
        if items:
            owners[owner] = items
        else:
            del self._group_of[owner]
        if owners:
            self._groups[group] = owners
        return item
