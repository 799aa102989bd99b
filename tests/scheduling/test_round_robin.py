"""Round robin: each owner one place a round, none passed over for ever, nothing lost, kinds kept apart."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from hearsay.scheduling.round_robin import RoundRobin

Item = TypeVar("Item")


def filled(*items: tuple[str, str]) -> RoundRobin[str, str]:
    """Add items such as `a1` of kind `x`; the first letter is the owner."""
    turns = RoundRobin[str, str]()
    for name, kind in items:
        turns.add(name[0], name, kind)
    return turns


def take(turns: RoundRobin[str, Item], most: int) -> list[Item]:
    """Take a batch of the kind of the item whose turn it is."""
    return turns.take(most, turns.first_kind())


def test_one_owner_is_served_in_the_order_of_coming() -> None:
    turns = filled(("a1", "x"), ("a2", "x"), ("a3", "x"))
    assert take(turns, 2) == ["a1", "a2"]
    assert take(turns, 2) == ["a3"]
    assert take(turns, 2) == [] and len(turns) == 0


def test_owners_take_turns_and_a_long_line_holds_nobody_up() -> None:
    turns = filled(*((f"a{i}", "x") for i in range(100)), ("b1", "x"), ("c1", "x"), ("c2", "x"))
    assert take(turns, 2) == ["a0", "b1"]
    assert take(turns, 4) == ["c1", "a1", "c2", "a2"]
    turns.add("b", "b2", "x")
    assert take(turns, 2) == ["a3", "b2"]


def test_a_batch_is_of_one_kind_that_of_the_first() -> None:
    turns = filled(("a1", "x"), ("b1", "y"), ("c1", "x"), ("a2", "y"), ("a3", "x"))
    assert turns.n_of_kind(turns.first_kind()) == 3 and turns.first() == "a1"
    assert take(turns, 8) == ["a1", "c1", "a3"]
    assert turns.first() == "b1", "whoever was passed over is first now"
    assert take(turns, 8) == ["b1", "a2"]
    assert turns.n_of_kind(turns.first_kind()) == 0 and turns.first() is None


def test_what_is_dropped_is_given_back_and_gone() -> None:
    turns = filled(("a1", "x"), ("b1", "x"), ("a2", "y"))
    assert turns.drop("a") == ["a1", "a2"] and turns.drop("a") == []
    assert turns.owners() == ["b"] and take(turns, 9) == ["b1"]


def test_the_first_that_fits_is_the_first_of_some_owner() -> None:
    turns = filled(("a1", "x"), ("a2", "y"), ("b1", "y"), ("b2", "x"), ("c1", "y"))
    assert turns.take_first(lambda name: name.endswith("2")) is None, "nobody overtakes in his own line"
    assert turns.take_first(lambda name: name != "a1") == "b1"
    assert turns.first() == "a1" and turns.owners() == ["a", "c", "b"]
    assert [turns.take_first(lambda _: True) for _ in range(5)] == ["a1", "c1", "b2", "a2", None]


ADDED = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), max_size=40)


@given(ADDED, st.lists(st.integers(1, 5), max_size=60))
def test_everything_is_taken_once_in_its_owners_order_of_each_kind(
    added: list[tuple[str, str]], sizes: list[int]
) -> None:
    turns = RoundRobin[str, tuple[str, str, int]]()
    for place, (owner, kind) in enumerate(added):
        turns.add(owner, (owner, kind, place), kind)
    batches = [take(turns, size) for size in [*sizes, *[5] * len(added)]]
    assert len(turns) == 0
    taken = [item for batch in batches for item in batch]
    assert sorted(place for _, _, place in taken) == list(range(len(added)))
    for batch in batches:
        assert len({kind for _, kind, _ in batch}) <= 1
    for owner, kind in {(owner, kind) for owner, kind, _ in taken}:
        places = [p for o, k, p in taken if (o, k) == (owner, kind)]
        assert places == sorted(places)


@given(ADDED.filter(bool), st.integers(1, 4))
def test_no_owner_waits_for_more_batches_than_there_are_others(
    added: list[tuple[str, str]], size: int
) -> None:
    turns = RoundRobin[str, str]()
    for owner, kind in added:
        turns.add(owner, owner, kind)
    n_owners = len({owner for owner, _ in added})
    since = dict.fromkeys(turns.owners(), 0)
    while turns.owners():
        served = set(take(turns, size))
        for owner in since:
            since[owner] = 0 if owner in served or owner not in turns.owners() else since[owner] + 1
        assert max(since.values()) < n_owners


def test_groups_take_turns_before_their_owners_do() -> None:
    turns = RoundRobin[str, str]()
    for owner in "abc":
        for number in range(3):
            turns.add(owner, f"{owner}{number}", group="many")
    turns.add("x", "x0", group="one")
    turns.add("x", "x1", group="one")
    assert take(turns, 6) == ["a0", "x0", "b0", "x1", "c0", "a1"]
    assert turns.owners() == ["b", "c", "a"]


def test_a_group_that_is_not_served_is_first_in_the_next_batch() -> None:
    turns = RoundRobin[str, str]()
    for owner, group in (("a", "one"), ("b", "one"), ("c", "two"), ("d", "three")):
        turns.add(owner, owner, group=group)
    assert [take(turns, 2), take(turns, 2)] == [["a", "c"], ["d", "b"]]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), min_size=1, max_size=40))
def test_no_group_gets_two_places_before_another_gets_one(added: list[tuple[str, int]]) -> None:
    turns = RoundRobin[str, str]()
    groups = dict(added[::-1])
    for owner, _ in added:
        turns.add(owner, owner, group=groups[owner])
    while waiting := {groups[owner] for owner in turns.owners()}:
        served = [groups[owner] for owner in take(turns, len(waiting))]
        assert sorted(served) == sorted(waiting)
