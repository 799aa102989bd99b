"""Windows decoded together, whichever join and leave, have the hypotheses that each has alone.

Languages are detected, too, and what that computed is not computed again to decode.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio, Hypothesis, Task, Window
from hearsay.engines.protocols import ContinuousRecognizer
from hearsay.engines.whisper import loading
from hearsay.engines.whisper.jobs import Decode
from hearsay.engines.whisper.openvino.continuous_batch import recognize
from hearsay.engines.whisper.openvino.decoder import Session
from hearsay.engines.whisper.openvino.recognizer import OpenVinoWhisper
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.errors import EngineFailed, UnsupportedOption
from hearsay.media import decoding as audio
from tests.support.paths import DATA

N_CLIPS = 6


@pytest.fixture(scope="module")
def model() -> Iterator[OpenVinoWhisper]:
    recognizer = loading.load(
        DATA / "fixture-whisper", device="cpu", compute_type="float32", decoder="openvino"
    )
    assert isinstance(recognizer, OpenVinoWhisper)
    yield recognizer
    recognizer.close()


@pytest.fixture(scope="module")
def other() -> Iterator[WhisperRecognizer]:
    recognizer = loading.load(
        DATA / "fixture-whisper", device="cpu", compute_type="float32", decoder="ctranslate2"
    )
    assert not isinstance(recognizer, OpenVinoWhisper)
    yield recognizer
    recognizer.close()


@pytest.fixture(scope="module")
def clips(model: OpenVinoWhisper) -> list[Window]:
    """Clips in three languages, wanted in different ways."""
    manifest = json.loads((DATA / "parity" / "manifest.json").read_text())
    spoken = [clip for clip in manifest if clip["language"] and clip["seconds"] < 15]
    chosen = spoken[:: len(spoken) // N_CLIPS][:N_CLIPS]
    inputs = [model.features(audio.load(DATA / "parity" / clip["file"])).window(0) for clip in chosen]
    before = model.encode_text(" The doctor is in the garden.")
    ways = [
        {"beam_size": 1},
        {"beam_size": 5},
        {"beam_size": 5, "previous": before},
        {"temperature": 0.4, "best_of": 3},
        {"beam_size": 2, "task": Task.TRANSLATE, "previous": before * 40},
        {"temperature": 1.0, "best_of": 1},
    ]
    return [
        Window(encoding, 30.0, clip["language"], **way)  # type: ignore[arg-type]
        for encoding, clip, way in zip(model.encode(inputs), chosen, ways, strict=True)
    ]


@pytest.fixture(scope="module")
def alone(model: OpenVinoWhisper, clips: list[Window]) -> list[Hypothesis]:
    return [recognize(model.continuous_batch(), [window])[0] for window in clips]


def same(left: Hypothesis, right: Hypothesis) -> bool:
    scores = (left.avg_logprob, left.no_speech_prob), (right.avg_logprob, right.no_speech_prob)
    return left.tokens == right.tokens and left.text == right.text and np.allclose(*scores, atol=1e-4)


def test_it_is_a_continuous_recognizer(model: OpenVinoWhisper, other: WhisperRecognizer) -> None:
    assert isinstance(model, ContinuousRecognizer)
    assert not isinstance(other, ContinuousRecognizer)
    assert model.batch_windows == 8


def test_windows_wanted_in_different_ways_are_given_what_they_are_given_alone(
    model: OpenVinoWhisper, clips: list[Window], alone: list[Hypothesis]
) -> None:
    together = model.recognize(clips)
    assert len({hypothesis.text for hypothesis in together}) == N_CLIPS
    assert [hypothesis.temperature for hypothesis in together] == [w.temperature for w in clips]
    assert all(map(same, together, alone))


@pytest.mark.parametrize("beam_size", [1, 5])
def test_another_runtime_hears_the_same(
    model: OpenVinoWhisper, other: WhisperRecognizer, clips: list[Window], beam_size: int
) -> None:
    windows = [Window(clip.encoding, 30.0, clip.language, beam_size=beam_size) for clip in clips]
    ours, theirs = model.recognize(windows), other.recognize(windows)
    assert all(map(same, ours, theirs))


def test_windows_join_and_leave_those_that_go_on(
    model: OpenVinoWhisper, clips: list[Window], alone: list[Hypothesis]
) -> None:
    """One joins every few steps; one is forgotten before it began and another while it is decoded."""
    decoding = model.continuous_batch()
    expected: dict[int, Hypothesis] = {}
    found: dict[int, Hypothesis] = {}
    forgotten = []
    for round_ in range(3):
        for window, hypothesis in zip(clips, alone, strict=True):
            number = decoding.join(Decode(window))
            expected[number] = hypothesis
            if round_ == 1:
                again = decoding.join(Decode(window))
                decoding.leave(number)
                expected[again] = expected.pop(number)
                forgotten.append(number)
            for _ in range(3):
                found.update(decoding.step())
        if decoding.n_windows > 2:
            victim = next(number for number in expected if number not in found)
            decoding.leave(victim)
            forgotten.append(victim)
            del expected[victim]
    while decoding.n_windows:
        found.update(decoding.step())
    assert forgotten
    assert not set(forgotten) & set(found)
    assert found.keys() == expected.keys()
    assert all(same(found[number], expected[number]) for number in expected)


def test_nothing_is_left_over_when_all_have_gone(
    model: OpenVinoWhisper, clips: list[Window], alone: list[Hypothesis]
) -> None:
    decoding = model.continuous_batch()
    for _ in range(2):
        numbers = [decoding.join(Decode(clip)) for clip in clips[:3]]
        assert decoding.n_windows == 3
        found = dict(decoding.step())
        while decoding.n_windows:
            found.update(decoding.step())
        assert all(same(found[number], alone[i]) for i, number in enumerate(numbers))
        assert decoding.step() == []
    decoding.leave(12345)


def _noted(name: str, call: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def noted(*args: Any) -> Any:
        calls.append(name)
        return call(*args)

    return noted


def test_newcomers_begin_with_the_step_of_others_where_one_has_gone(
    model: OpenVinoWhisper, clips: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("feed", "move"):
        monkeypatch.setattr(Session, name, _noted(name, getattr(Session, name), calls))
    plain = [Window(clip.encoding, 30.0, clip.language, beam_size=5) for clip in clips[:4]]
    decoding = model.continuous_batch()
    first, *_ = [decoding.join(Decode(clip)) for clip in plain[:3]]
    decoding.step()
    decoding.leave(first)
    decoding.join(Decode(plain[3]))
    calls.clear()
    decoding.step()
    assert calls == ["feed"]
    decoding.leave(first + 1)
    calls.clear()
    decoding.step()
    assert calls == ["move", "feed"]


def test_windows_of_different_lengths_do_not_mix(model: OpenVinoWhisper, clips: list[Window]) -> None:
    long = clips[0]
    short = Window(long.encoding[:400], 8.0, long.language, beam_size=1)
    decoding = model.continuous_batch()
    assert decoding.has_room(Decode(long)) and decoding.has_room(Decode(short))
    decoding.join(Decode(long))
    assert decoding.has_room(Decode(long))
    assert not decoding.has_room(Decode(short))
    with pytest.raises(EngineFailed, match="room"):
        decoding.join(Decode(short))
    one_by_one = [model.recognize([window])[0] for window in (long, short, long)]
    assert all(map(same, model.recognize([long, short, long]), one_by_one))


def test_there_is_an_end_to_room(model: OpenVinoWhisper, clips: list[Window]) -> None:
    decoding = model.continuous_batch()
    while decoding.has_room(Decode(clips[0])):
        decoding.join(Decode(clips[0]))
    assert decoding.n_windows == 64
    with pytest.raises(EngineFailed, match="room"):
        decoding.join(Decode(clips[0]))


def test_what_cannot_be_decoded_is_refused_when_it_joins(model: OpenVinoWhisper, clips: list[Window]) -> None:
    decoding = model.continuous_batch()
    with pytest.raises(UnsupportedOption, match="xx"):
        decoding.join(Decode(Window(clips[0].encoding, 30.0, "xx")))
    with pytest.raises(EngineFailed, match="encoding"):
        decoding.join(Decode(Window(np.zeros((7, 3), np.float32), 30.0, "en")))
    assert decoding.n_windows == 0


def test_samples_are_the_same_whenever_they_are_drawn(model: OpenVinoWhisper, clips: list[Window]) -> None:
    window = Window(clips[1].encoding, 30.0, clips[1].language, temperature=1.0, best_of=5)
    once, beside, again = (model.recognize(w)[0] for w in ([window], [window, *clips], [window]))
    assert same(once, again)
    assert same(once, beside)


def test_languages_are_detected_as_by_another_runtime(
    model: OpenVinoWhisper, other: WhisperRecognizer, clips: list[Window]
) -> None:
    encodings = [clip.encoding for clip in clips]
    ours, theirs = model.detect_language(encodings), other.detect_language(encodings)
    for mine, its, clip in zip(ours, theirs, clips, strict=True):
        assert mine == pytest.approx(dict(its), abs=1e-5)
        assert max(mine, key=lambda code: mine[code]) == clip.language
        assert sum(mine.values()) == pytest.approx(1.0, abs=1e-5)


@pytest.fixture
def noise_windows(model: OpenVinoWhisper) -> list[Window]:
    """Return two windows of different noise."""
    noise = np.random.default_rng(5).integers(-9000, 9000, (2, 4 * SAMPLE_RATE)).astype(np.int16)
    inputs = [model.features(Audio(pcm)).window(0) for pcm in noise]
    return [Window(encoding, 4.0, "en", beam_size=2) for encoding in model.encode(inputs)]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each window whether its cross-attention was known when it was asked for."""
    noted: list[bool] = []
    compute = Session.compute_cross_kv

    def noting(
        session: Session, slot: int, encoding: NDArray[np.float32], *, known: NDArray[Any] | None = None
    ) -> None:
        noted.append(known is not None)
        compute(session, slot, encoding, known=known)

    monkeypatch.setattr(Session, "compute_cross_kv", noting)
    return noted


def test_cross_attention_is_computed_once_for_language_and_text(
    model: OpenVinoWhisper, noise_windows: list[Window], known: list[bool]
) -> None:
    fresh = model.recognize(noise_windows[:1])
    model.detect_language([noise_windows[0].encoding])
    assert model.recognize(noise_windows[:1]) == fresh
    assert known == [False, False, True]


def test_cross_attention_is_not_taken_for_another_windows(
    model: OpenVinoWhisper, noise_windows: list[Window], known: list[bool]
) -> None:
    fresh = model.recognize(noise_windows)
    model.detect_language([noise_windows[0].encoding])
    model.detect_language([noise_windows[1].encoding])
    assert model.recognize(noise_windows) == fresh
    assert known == [False, False, False, False, False, True]


def test_of_windows_detected_together_no_cross_attention_is_kept(
    model: OpenVinoWhisper, noise_windows: list[Window], known: list[bool]
) -> None:
    one, two = model.detect_language([window.encoding for window in noise_windows])
    model.recognize(noise_windows)
    assert not any(known) and len(known) == 4
    assert one == pytest.approx(model.detect_language([noise_windows[0].encoding])[0], abs=1e-5)
    assert two == pytest.approx(model.detect_language([noise_windows[1].encoding])[0], abs=1e-5)


def test_languages_of_shorter_windows_are_detected_in_between(
    model: OpenVinoWhisper, noise_windows: list[Window]
) -> None:
    (before,) = model.detect_language([noise_windows[0].encoding])
    (short,) = model.detect_language([noise_windows[0].encoding[:500]])
    assert sum(short.values()) == pytest.approx(1.0, abs=1e-5)
    assert model.detect_language([noise_windows[0].encoding]) == [pytest.approx(before, abs=1e-6)]
