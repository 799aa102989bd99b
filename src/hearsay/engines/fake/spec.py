"""The two test engines as the registry knows them.

Knows no test. The recogniser takes any sound for speech, so it wants no speech detection before it.
"""

from __future__ import annotations

from hearsay.engines.engine_spec import EngineSpec, Execution
from hearsay.engines.fake import cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.fake.synthesizer import FakeSynthesizer

FAKE_RECOGNIZER = EngineSpec(
    name="fake",
    cards=lambda: (cards.fake(),),
    execution=Execution.BATCHED,
    load_embedded=lambda runtime: FakeWindowRecognizer(),
    is_test=True,
)

FAKE_SYNTHESIZER = EngineSpec(
    name="fake_voice",
    cards=lambda: (cards.fake_voice(),),
    execution=Execution.IN_PROCESS,
    load_embedded=lambda runtime: FakeSynthesizer(),
    is_light=True,
    is_test=True,
)
