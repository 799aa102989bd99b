"""The pins of wheels: what a voice needs, and (with weights) a voice that speaks."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from hearsay.domain import SynthesisOptions
from hearsay.engines import registry
from hearsay.engines.engine_spec import Runtime
from hearsay.engines.onnx_tts import cards
from hearsay.engines.onnx_tts.wheels import PACKED
from hearsay.engines.protocols import as_synthesizer


def test_wheels_carry_all_that_their_voices_need() -> None:
    packed = {card.id: card for card in cards.known() if card.packed}
    assert {id_: card.packed for id_, card in packed.items()} == PACKED
    for id_, card in packed.items():
        wanted = registry.spec(card).model_files.select(card)
        assert sorted(wanted.required) == [file.name for file in PACKED[id_]]
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in PACKED[id_])


def test_joe_speaks_from_the_files_that_piper_publishes() -> None:
    weights = os.environ.get("HEARSAY_TEST_WEIGHTS")
    folder = Path(weights or "", "joe")
    if weights is None or not folder.is_dir():
        pytest.skip("HEARSAY_TEST_WEIGHTS names no folder with joe's files in joe/")
    card = registry.describe("joe", folder)
    assert [(voice.id, voice.languages) for voice in card.voices] == [("joe", ("en-us",))]
    with closing(as_synthesizer(registry.load(card, folder, Runtime(cpu_threads=1)), card)) as engine:
        assert engine.sample_rate == 22_050
        lengths = {}
        for speed in (1.0, 2.0):
            said = engine.synthesize(
                "The train leaves at 10:30 from platform nine.", SynthesisOptions("joe", speed)
            )
            samples = np.concatenate(list(said))
            assert np.abs(samples).max() == 32_767
            lengths[speed] = len(samples)
    assert 2.0 < lengths[1.0] / 22_050 < 4.0
    assert lengths[1.0] / lengths[2.0] == pytest.approx(2.0, rel=0.15)
