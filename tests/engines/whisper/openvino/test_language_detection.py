"""What was heard to detect a language is not computed again to decode, and never taken for another window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio, Window
from hearsay.engines.whisper import loading
from hearsay.engines.whisper.openvino.decoder import Session
from hearsay.engines.whisper.openvino.recognizer import OpenVinoWhisper
from tests.support.paths import FIXTURE_WHISPER

FIXTURE = FIXTURE_WHISPER


@pytest.fixture(scope="module")
def model() -> Iterator[OpenVinoWhisper]:
    recognizer = loading.load(FIXTURE, device="cpu", compute_type="float32", decoder="openvino")
    assert isinstance(recognizer, OpenVinoWhisper)
    yield recognizer
    recognizer.close()


@pytest.fixture
def windows(model: OpenVinoWhisper) -> list[Window]:
    """Make two windows of different noise."""
    noise = np.random.default_rng(5).integers(-9000, 9000, (2, 4 * SAMPLE_RATE)).astype(np.int16)
    inputs = [model.features(Audio(pcm)).window(0) for pcm in noise]
    return [Window(encoding, 4.0, "en", beam_size=2) for encoding in model.encode(inputs)]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each window that is heard whether it was known."""
    noted: list[bool] = []
    hear = Session.compute_cross_kv

    def noting(
        session: Session, place: int, encoding: NDArray[np.float32], *, known: NDArray[Any] | None = None
    ) -> None:
        noted.append(known is not None)
        hear(session, place, encoding, known=known)

    monkeypatch.setattr(Session, "compute_cross_kv", noting)
    return noted


def test_a_window_is_heard_once_for_its_language_and_its_text(
    model: OpenVinoWhisper, windows: list[Window], known: list[bool]
) -> None:
    fresh = model.recognize(windows[:1])
    model.detect_language([windows[0].encoding])
    assert model.recognize(windows[:1]) == fresh
    assert known == [False, False, True]


def test_what_was_heard_last_is_not_taken_for_another_window(
    model: OpenVinoWhisper, windows: list[Window], known: list[bool]
) -> None:
    fresh = model.recognize(windows)
    model.detect_language([windows[0].encoding])
    model.detect_language([windows[1].encoding])
    assert model.recognize(windows) == fresh
    assert known == [False, False, False, False, False, True]


def test_of_several_windows_heard_together_none_is_kept(
    model: OpenVinoWhisper, windows: list[Window], known: list[bool]
) -> None:
    one, two = model.detect_language([window.encoding for window in windows])
    model.recognize(windows)
    assert not any(known) and len(known) == 4
    assert one == pytest.approx(model.detect_language([windows[0].encoding])[0], abs=1e-5)
    assert two == pytest.approx(model.detect_language([windows[1].encoding])[0], abs=1e-5)


def test_shorter_windows_are_heard_in_between(model: OpenVinoWhisper, windows: list[Window]) -> None:
    (before,) = model.detect_language([windows[0].encoding])
    (short,) = model.detect_language([windows[0].encoding[:500]])
    assert sum(short.values()) == pytest.approx(1.0, abs=1e-5)
    assert model.detect_language([windows[0].encoding]) == [pytest.approx(before, abs=1e-6)]
