"""What is measured with: real recordings of the tests, and one stitched together from known sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.recordings import compression, sentences, short, stitched

from hearsay.domain import SAMPLE_RATE
from hearsay.media import decoding


def test_short_clips_are_three_to_ten_seconds_in_turns_of_languages() -> None:
    clips = short(32)
    assert len({clip.path for clip in clips}) == 32
    assert [clip.language for clip in clips[:6]] == ["en", "es", "de"] * 2
    for clip in clips:
        assert 3.0 <= clip.seconds <= 10.0
        assert clip.text
    heard = decoding.load(clips[0].path)
    assert heard.n_samples / SAMPLE_RATE == pytest.approx(clips[0].seconds, abs=0.05)


def test_there_are_no_more_short_clips_than_there_are() -> None:
    with pytest.raises(ValueError, match="there are only"):
        short(1000)


def test_a_stitched_recording_says_its_sentences_with_pauses_between(tmp_path: Path) -> None:
    recording = stitched(60.0, tmp_path / "long.wav", seed=5)
    known = {sentence.text: sentence for sentence in sentences("en")}
    said, rest = [], recording.text
    while rest:  # sentences do not contain each other's beginnings, or the rest would not come out
        (text,) = [text for text in known if rest == text or rest.startswith(f"{text} ")][-1:]
        said.append(text)
        rest = rest[len(text) :].lstrip()
    spoken = sum(len(known[text].pcm) for text in said) / SAMPLE_RATE
    pauses = recording.seconds - spoken
    assert 60.0 <= recording.seconds < 75.0
    assert 0.3 * len(said) <= pauses <= 1.5 * len(said)
    pcm = decoding.load(recording.path).pcm
    assert len(pcm) == round(recording.seconds * SAMPLE_RATE)
    assert not np.any(pcm[: round(0.29 * SAMPLE_RATE)])


def test_the_same_seed_gives_the_same_recording(tmp_path: Path) -> None:
    first, second, other = (
        stitched(20.0, tmp_path / f"{i}.wav", seed=seed) for i, seed in enumerate((1, 1, 2))
    )
    assert first.text == second.text != other.text
    assert first.path.read_bytes() == second.path.read_bytes()


def test_no_window_of_a_stitched_recording_looks_like_a_loop(tmp_path: Path) -> None:
    """Whisper decodes again where text compresses to less than 1 / 2.4."""
    words = stitched(600.0, tmp_path / "long.wav", seed=3).text.split()
    per_window = round(len(words) / 20)
    windows = [words[i : i + per_window] for i in range(0, len(words) - per_window, 10)]
    assert max(compression([" ".join(window)]) for window in windows) < 2.4


def test_compression_tells_loops_from_speech() -> None:
    assert compression(["The king buys the boat."] * 10) > 2.4 > compression(["The king buys the boat."])
