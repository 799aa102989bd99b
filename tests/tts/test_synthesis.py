"""Synthesis of a text: utterances in order, at most two in progress, none after cancellation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from hearsay.domain import Pcm, SynthesisOptions
from hearsay.engines.fake.recognizer import Faults
from hearsay.engines.fake.synthesizer import (
    SAMPLE_RATE,
    WORD_SECONDS,
    FakeSynthesisStream,
    FakeSynthesizer,
    tone,
)
from hearsay.errors import Cancelled, EngineFailed, InvalidRequest, UnsupportedOption
from hearsay.media.encoding import AudioFormat, Container
from hearsay.tts.synthesis import Synthesis, encoded

LOW = SynthesisOptions("low")


class Watched(FakeSynthesizer):
    """Records the utterances requested and stopped."""

    def __init__(self, mishaps: Faults | None = None) -> None:
        super().__init__(mishaps)
        self.asked: list[str] = []
        self.awaited: list[bool] = []
        self.options: list[SynthesisOptions] = []
        self.begun: list[FakeSynthesisStream] = []
        self.stopped: list[str] = []

    def synthesize(
        self, text: str, options: SynthesisOptions, *, is_awaited: bool = True
    ) -> FakeSynthesisStream:
        self.asked.append(text)
        self.awaited.append(is_awaited)
        self.options.append(options)
        speaking = FakeSynthesisStream(text, options, self.mishaps)
        stop = speaking.stop

        def noted() -> None:
            self.stopped.append(text)
            stop()

        speaking.stop = noted  # type: ignore[method-assign]
        self.begun.append(speaking)
        return speaking


def said(synthesis: Synthesis) -> Pcm:
    return np.concatenate(list(synthesis))


def test_pieces_are_said_one_after_the_other() -> None:
    synthesis = Synthesis(["one two", "three"], LOW, FakeSynthesizer())
    np.testing.assert_array_equal(said(synthesis), np.concatenate([tone(LOW)] * 3))
    assert synthesis.seconds == pytest.approx(3 * WORD_SECONDS)


def test_the_next_piece_is_begun_while_one_is_heard_and_no_other() -> None:
    synthesizer = Watched()
    blocks = iter(Synthesis((f"word{number}" for number in itertools.count()), LOW, synthesizer))
    for number in range(5):
        next(blocks)
        assert len(synthesizer.asked) == number + 2
    assert synthesizer.awaited == [True] + [False] * 5


def test_an_endless_text_can_be_left() -> None:
    synthesizer = Watched()
    blocks = iter(Synthesis((f"word{number}" for number in itertools.count()), LOW, synthesizer))
    next(blocks)
    blocks.close()
    assert synthesizer.stopped == synthesizer.asked == ["word0", "word1"]


def test_whoever_has_gone_is_told_no_more() -> None:
    gone = False
    synthesizer = Watched()
    blocks = iter(Synthesis(["one two", "three"], LOW, synthesizer, cancelled=lambda: gone))
    next(blocks)
    gone = True
    with pytest.raises(Cancelled):
        next(blocks)
    assert synthesizer.stopped == ["one two", "three"]


def test_a_failure_ends_all_of_it() -> None:
    synthesizer = Watched(Faults(fail_after=1))
    blocks = iter(Synthesis(["one two", "three"], LOW, synthesizer))
    next(blocks)
    with pytest.raises(EngineFailed):
        next(blocks)
    assert synthesizer.stopped == ["one two", "three"]


def test_what_was_begun_ends_where_the_text_cannot_be_read_on() -> None:
    def torn() -> Iterator[str]:
        yield "one two"
        raise OSError("the book is torn")

    synthesizer = Watched()
    with pytest.raises(OSError, match="torn"):
        said(Synthesis(torn(), LOW, synthesizer))
    assert synthesizer.stopped == ["one two"]


@pytest.mark.parametrize("pieces", [[], ["—"], ["…", "!"]])
def test_text_without_a_word_is_refused(pieces: list[str]) -> None:
    with pytest.raises(InvalidRequest, match="Nothing in the input can be spoken") as caught:
        said(Synthesis(pieces, LOW, FakeSynthesizer()))
    assert (caught.value.param, caught.value.code) == ("input", "nothing_to_say")


def test_a_piece_without_a_word_among_others_is_passed_over() -> None:
    assert len(said(Synthesis(["one", "…", "two"], LOW, FakeSynthesizer()))) == 2 * len(tone(LOW))


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(UnsupportedOption):
        said(Synthesis(["one"], SynthesisOptions("nobody"), FakeSynthesizer()))


@pytest.mark.parametrize(
    ("speed", "natural", "tempo"), [(1.0, 1.0, 1.0), (1.5, 1.5, 1.0), (0.25, 0.5, 0.5), (5.0, 2.0, 2.5)]
)
def test_what_a_model_cannot_do_is_left_to_stretching(speed: float, natural: float, tempo: float) -> None:
    synthesizer = Watched()
    synthesis = Synthesis(["one"], SynthesisOptions("low", speed), synthesizer)
    said(synthesis)
    assert synthesizer.options == [SynthesisOptions("low", natural)]
    assert synthesis.tempo == pytest.approx(tempo)


@pytest.mark.parametrize("speed", [0.25, 1.0, 2.0, 5.0])
def test_the_bytes_are_those_of_a_file_of_the_right_length(speed: float) -> None:
    synthesizer = FakeSynthesizer()
    synthesis = Synthesis(["one two three four", "five six"], SynthesisOptions("high", speed), synthesizer)
    blocks = list(encoded(synthesis, synthesizer, AudioFormat(Container.RAW, SAMPLE_RATE)))
    assert all(blocks)
    seconds = len(b"".join(blocks)) / 2 / SAMPLE_RATE
    assert seconds == pytest.approx(6 * WORD_SECONDS / speed, rel=0.03)


def test_bytes_come_while_more_is_being_said() -> None:
    synthesizer = Watched()
    endless = Synthesis((f"word{number}" for number in itertools.count()), LOW, synthesizer)
    blocks = encoded(endless, synthesizer, AudioFormat(Container.WAV, SAMPLE_RATE))
    assert bytes(next(blocks)).startswith(b"RIFF")
    assert len(synthesizer.asked) <= 3
