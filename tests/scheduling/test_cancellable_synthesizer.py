"""A request's way to a synthesizer: what it began ends with it, and nothing of anybody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from hearsay.domain import Pcm, SynthesisOptions
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.protocols import SynthesisStream, Synthesizer
from hearsay.errors import Cancelled, UnsupportedOption
from hearsay.scheduling.cancellable_synthesizer import CancellableSynthesizer

WAIT = 10.0
HIGH = SynthesisOptions("high")


class Mute:
    """A piece whose sound never comes; stopped, it ends."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.stopped = threading.Event()

    def __iter__(self) -> Iterator[Pcm]:
        self.asked.set()
        assert self.stopped.wait(WAIT)
        raise Cancelled
        yield np.zeros(0, np.int16)

    def stop(self) -> None:
        self.stopped.set()


class Slow(FakeSynthesizer):
    """Begins one piece of `piece`, and before that does what a test wants."""

    def __init__(self, piece: SynthesisStream) -> None:
        super().__init__()
        self.piece = piece
        self.before: Callable[[], None] = lambda: None

    def synthesize(  # type: ignore[override]
        self, text: str, options: SynthesisOptions, *, is_awaited: bool = True
    ) -> SynthesisStream:
        self.before()
        return self.piece


def test_speaks_like_the_model() -> None:
    model = FakeSynthesizer()
    booth = CancellableSynthesizer(model)
    assert isinstance(booth, Synthesizer)
    assert (booth.sample_rate, booth.voices, booth.speeds) == (model.sample_rate, model.voices, model.speeds)
    assert booth.utterance_characters == model.utterance_characters
    assert len(list(booth.synthesize("two words", HIGH))) == 2
    with pytest.raises(UnsupportedOption):
        booth.synthesize("a", SynthesisOptions("nobody"))


def test_closing_stops_what_is_being_said_from_another_thread() -> None:
    piece = Mute()
    booth = CancellableSynthesizer(Slow(piece))
    speaking = booth.synthesize("a", HIGH)
    failures: list[BaseException] = []

    def listen() -> None:
        try:
            list(speaking)
        except Cancelled as error:
            failures.append(error)

    listener = threading.Thread(target=listen)
    listener.start()
    assert piece.asked.wait(WAIT)
    booth.close()
    listener.join(WAIT)
    assert not listener.is_alive() and len(failures) == 1
    booth.close()


def test_a_closed_booth_begins_nothing_and_leaves_the_model_to_others() -> None:
    model = FakeSynthesizer()
    booth, other = CancellableSynthesizer(model), CancellableSynthesizer(model)
    heard = iter(other.synthesize("some more words", HIGH))
    next(heard)
    booth.close()
    model.synthesize = None  # type: ignore[assignment, method-assign]  # not even asked
    with pytest.raises(Cancelled):
        booth.synthesize("a", HIGH)
    assert len(list(heard)) == 2 and not model.is_closed


def test_what_begins_while_the_booth_is_closed_is_stopped() -> None:
    piece = Mute()
    model = Slow(piece)
    booth = CancellableSynthesizer(model)
    model.before = booth.close
    with pytest.raises(Cancelled):
        booth.synthesize("a", HIGH)
    assert piece.stopped.is_set()


def test_what_has_ended_is_forgotten() -> None:
    booth = CancellableSynthesizer(FakeSynthesizer())
    for _ in range(3):
        list(booth.synthesize("a", HIGH))
    stopped = booth.synthesize("a", HIGH)
    stopped.stop()
    half = iter(booth.synthesize("two words", HIGH))
    next(half)
    assert len(booth._open) == 1
    half.close()  # type: ignore[attr-defined]
    assert not booth._open
