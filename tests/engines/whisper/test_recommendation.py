"""Which Whisper suits which machine."""

from __future__ import annotations

import pytest

from hearsay.engines import registry
from hearsay.engines.hardware import GIB, Machine
from hearsay.engines.whisper.recommendation import BY_WEIGHT, RECOMMENDATIONS, ranking, recommend, suits

SMALL = Machine(cores=2, memory_bytes=4 * GIB)
MIDDLE = Machine(cores=8, memory_bytes=16 * GIB)
GPU = Machine(cores=8, memory_bytes=32 * GIB, gpu_memory_bytes=24 * GIB)


@pytest.mark.parametrize(
    ("machine", "model"),
    [
        (SMALL, "whisper-base"),
        (MIDDLE, "whisper-small"),
        (GPU, "whisper-large-v3-turbo"),
        (Machine(4, 8 * GIB, 3 * GIB), "whisper-small"),
        (Machine(64, 128 * GIB), "whisper-large-v3-turbo"),
        (Machine(1, 64 * GIB), "whisper-tiny"),
        (Machine(64, GIB // 2), "whisper-tiny"),
        (Machine(0, 0), "whisper-tiny"),
    ],
)
def test_recommends_what_the_machine_carries(machine: Machine, model: str) -> None:
    assert recommend(machine).model == model


def test_every_recommendation_is_a_known_multilingual_model_with_a_reason() -> None:
    known = {card.id: card for card in registry.recognizer_cards()}
    for row in RECOMMENDATIONS:
        assert len(known[row.model].languages) >= 99 and row.why


@pytest.mark.parametrize("machine", [SMALL, MIDDLE, GPU])
def test_the_ranking_holds_every_whisper_once_and_begins_with_the_recommended_one(machine: Machine) -> None:
    names = ranking(machine)
    whispers = [card.id for card in registry.recognizer_cards() if card.engine == "whisper"]
    assert sorted(names) == sorted(whispers)
    assert names[0] == recommend(machine).model
    multilingual = [name for name in names if name in BY_WEIGHT]
    assert list(names[: len(BY_WEIGHT)]) == multilingual


def test_too_heavy_comes_after_light_and_the_lightest_first() -> None:
    assert ranking(SMALL)[:4] == ("whisper-base", "whisper-tiny", "whisper-small", "whisper-large-v3-turbo")
    assert not suits("whisper-small", SMALL) and suits("whisper-tiny", SMALL)
    assert suits("whisper-small", GPU) and not suits("whisper-base.en", GPU)
