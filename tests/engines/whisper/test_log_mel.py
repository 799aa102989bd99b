"""Log-mel features: the reference's numbers, whatever the length and wherever a window begins."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.domain import Audio
from hearsay.engines.whisper import log_mel as features
from hearsay.engines.whisper.log_mel import LogMel, log_mel, mel_filters
from tests.support.paths import DATA

REFERENCE = json.loads((DATA / "reference-mel.json").read_text())


def recording(n_samples: int = 48037) -> Audio:
    """The recording of fixture/mel.py: a rising tone that swells over a quiet hiss."""
    n = np.arange(n_samples, dtype=np.int64)
    tone = np.sin(n * n * 2.5e-6) * (n % 12000) * 1.5
    hiss = (n * 1103515245 + 12345) % 2147483648 % 201 - 100
    return Audio(np.round(tone + hiss).astype(np.int16))


def by_definition(audio: Audio, n_mels: int) -> NDArray[np.float64]:
    """Compute log-mel frames `[n, n_mels]` slowly, in double precision, straight from the definition."""
    samples = audio.samples().astype(np.float64)
    padded = np.concatenate([samples[200:0:-1], samples, np.zeros(1000)])
    n_frames = audio.n_samples // 160
    frames = np.stack([padded[i * 160 : i * 160 + 400] for i in range(n_frames)])
    phase = -2j * np.pi * np.outer(np.arange(400), np.arange(201)) / 400
    spectrum = (frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400))) @ np.exp(phase)
    result: NDArray[np.float64] = np.log10(np.maximum(np.abs(spectrum) ** 2 @ mel_filters(n_mels).T, 1e-10))
    return result


@pytest.mark.parametrize("n_mels", [80, 128])
def test_frames_are_those_of_the_reference(n_mels: int) -> None:
    expected = REFERENCE[str(n_mels)]
    mel = LogMel(recording(), n_mels)
    assert mel.n_frames + 3000 == expected["n_frames"]
    first, second = mel.window(0, pad_silence=True), mel.window(300, pad_silence=True)
    for number, values in expected["frames"].items():
        frame = int(number)
        got = first[:, frame] if frame < 3000 else second[:, frame - 300]
        np.testing.assert_allclose(got, values, atol=1e-4)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_filters_are_those_of_the_reference(n_mels: int) -> None:
    expected = REFERENCE[str(n_mels)]
    filters = mel_filters(n_mels)
    assert filters.shape == (n_mels, 201)
    np.testing.assert_allclose(filters.sum(axis=1), expected["filter_sums"], atol=1e-6)
    assert filters.argmax(axis=1).tolist() == expected["filter_peaks"]


def test_frames_are_what_the_definition_says() -> None:
    audio = recording(16_000)
    np.testing.assert_allclose(log_mel(audio, 80, 0, 100), by_definition(audio, 80), atol=1e-3)


def test_a_window_is_padded_with_zeros_in_the_domain_of_features() -> None:
    window = LogMel(recording(), 80).window(100)
    assert window.shape == (80, 3000)
    assert window.dtype == np.float32
    assert window.flags.c_contiguous
    assert window[:, :200].any(axis=0).all()
    assert not window[:, 200:].any()


def test_silence_has_one_value_below_everything_heard() -> None:
    window = LogMel(recording(), 80).window(100, pad_silence=True)
    assert np.unique(window[:, 203:]).size == 1
    assert window[:, :200].min() >= window[0, -1]


def test_the_floor_is_that_of_the_whole_recording() -> None:
    """A loud moment in the second window raises the floor of the first."""
    pcm = np.zeros(16_000 * 40, np.int16)
    pcm[:16_000] = 3
    pcm[16_000 * 35 :] = 20_000
    quiet = LogMel(Audio(pcm[: 16_000 * 34]), 80).window(0)
    both = LogMel(Audio(pcm), 80).window(0)
    assert both.min() > quiet.min()


def test_pure_silence_is_finite() -> None:
    window = LogMel(Audio(np.zeros(32_000, np.int16)), 80).window(0)
    np.testing.assert_allclose(window[:, :200], -1.5, atol=1e-6)


@pytest.mark.parametrize("n_samples", [0, 1, 159, 160, 161, 200, 201, 399, 400])
def test_the_shortest_recordings_have_their_frames(n_samples: int) -> None:
    mel = LogMel(recording(n_samples), 80)
    assert mel.n_frames == n_samples // 160
    assert np.isfinite(mel.window(0, pad_silence=True)).all()


def test_a_long_recording_gives_what_a_short_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = recording(16_000 * 75 + 11)
    kept = LogMel(audio, 80)
    monkeypatch.setattr(features, "KEEP_FRAMES", 100)
    computed = LogMel(audio, 80)
    assert computed._kept is None
    for start in (0, 1, 2999, 4000, 7499):
        for silence in (False, True):
            got = computed.window(start, pad_silence=silence)
            np.testing.assert_allclose(got, kept.window(start, pad_silence=silence), atol=1e-5)


def test_memory_does_not_grow_with_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording is read in stretches of a window, never as a whole."""
    longest = 0
    read = Audio.samples

    def watched(self: Audio, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        nonlocal longest
        part = read(self, start, stop)
        longest = max(longest, len(part))
        return part

    monkeypatch.setattr(Audio, "samples", watched)
    mel = LogMel(Audio(np.zeros(16_000 * 600, np.int16)), 80)
    mel.window(30_000)
    assert mel._kept is None
    assert longest <= 30 * 16_000 + 400


@settings(deadline=None, max_examples=30)
@given(start=st.integers(0, 290), n_frames=st.integers(1, 60))
def test_any_stretch_of_frames_is_cut_from_the_same_cloth(start: int, n_frames: int) -> None:
    audio = recording()
    whole = log_mel(audio, 80, 0, 350)
    part = log_mel(audio, 80, start, start + n_frames)
    np.testing.assert_allclose(part, whole[start : start + n_frames], atol=2e-4)
