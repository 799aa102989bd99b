"""A slice of the fuzz run: damaged files are decoded or refused, and the damage can be made again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fuzz import media
from hearsay.domain import Audio
from hearsay.errors import InvalidAudio


def test_the_same_seed_makes_the_same_files() -> None:
    first, again = (list(media.specimens(20, seed=5)) for _ in range(2))
    assert first == again
    assert list(media.specimens(3, seed=5, first=17)) == first[17:]
    assert list(media.specimens(20, seed=6)) != first


def test_every_way_of_damage_is_used_and_damages() -> None:
    found = list(media.specimens(200, seed=2))
    assert {way for specimen in found for way in specimen.damage} == set(media.DAMAGES)
    unhurt = [specimen for specimen in found if specimen.data == media.originals()[specimen.kind]]
    assert len(unhurt) < 10


@pytest.mark.slow
def test_damaged_files_are_decoded_or_refused(tmp_path: Path) -> None:
    found = media.specimens(120, seed=20261120)
    findings = asyncio.run(media.decode_all(found, n_workers=2, folder=tmp_path))
    assert findings.broken == []
    assert not findings.failed
    assert findings.outcomes.total() == 120
    assert findings.total("refused") > 5
    assert findings.total("decoded, warned") > 20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("outcome", media.FAILURES)
def test_a_failure_would_be_noticed(outcome: str, tmp_path: Path) -> None:
    async def verdict(path: Path) -> str:
        return outcome if path.name.startswith("000003") else "decoded"

    found = media.specimens(5, seed=1)
    findings = asyncio.run(media.examine(found, verdict, at_once=2, folder=tmp_path))
    assert findings.failed
    assert [specimen.number for specimen, _ in findings.broken] == [3]


@pytest.mark.parametrize(
    ("refused", "outcome"),
    [
        (InvalidAudio("The file breaks the decoder."), "worker lost"),
        (InvalidAudio("Too long.", code="decode_timeout"), "hang"),
        (InvalidAudio("Text."), "refused"),
        (OSError("No space"), "error"),
    ],
)
def test_refusals_hangs_and_errors_are_told_apart(refused: Exception, outcome: str) -> None:
    class Pool:
        async def decode(self, source: Path) -> Audio:
            raise refused

    assert asyncio.run(media.judge(Pool(), Path("x"))) == outcome  # type: ignore[arg-type]
