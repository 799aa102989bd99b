"""The two test engines as the registry knows them.

Knows no test. Neither wants speech detection: the recogniser takes any sound for speech, as no detector does.
"""

from __future__ import annotations

from hearsay.engines.engine_spec import EngineSpec, Execution, Runtime
from hearsay.engines.fake import cards
from hearsay.engines.protocols import Recognizer, Synthesizer


def _load_recognizer(runtime: Runtime) -> Recognizer:
    from hearsay.engines.fake.recognizer import FakeWindowRecognizer

    return FakeWindowRecognizer()


def _load_synthesizer(runtime: Runtime) -> Synthesizer:
    from hearsay.engines.fake.synthesizer import FakeSynthesizer

    return FakeSynthesizer()


FAKE_RECOGNIZER = EngineSpec(
    name="fake",
    cards=lambda: (cards.fake(),),
    execution=Execution.BATCHED,
    load_embedded=_load_recognizer,
    is_test=True,
)

FAKE_SYNTHESIZER = EngineSpec(
    name="fake_voice",
    cards=lambda: (cards.fake_voice(),),
    execution=Execution.IN_PROCESS,
    load_embedded=_load_synthesizer,
    is_light=True,
    is_test=True,
)
