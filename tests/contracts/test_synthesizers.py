"""What every synthesizer must do: each runs through the same promises of `engines.protocols`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hearsay.domain import Pcm, SynthesisOptions, Task
from hearsay.engines import protocols, registry
from hearsay.engines.fake.recognizer import Faults
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.protocols import Synthesizer
from hearsay.engines.tts_worker import utterance
from hearsay.errors import Cancelled, EngineFailed, UnsupportedOption
from tests.support.engine_cases import Case, cases

TEXT = "The sun is up, and the birds begin to sing."

Load = Callable[[], Synthesizer]

CASES = cases(Task.SYNTHESIZE)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def load(request: pytest.FixtureRequest) -> Load:
    case: Case = request.param
    return lambda: protocols.as_synthesizer(case.load(), case.card)


def test_every_engine_that_speaks_is_here() -> None:
    engines = {card.engine for card in registry.synthesizer_cards()}
    assert engines <= {case.card.engine for case in CASES}


@pytest.fixture(scope="module")
def synthesizer(load: Load) -> Iterator[Synthesizer]:
    synthesizer = load()
    yield synthesizer
    synthesizer.close()


def options(synthesizer: Synthesizer, speed: float = 1.0, voice: int = 0) -> SynthesisOptions:
    return SynthesisOptions(synthesizer.voices[voice].id, speed)


def dawdle() -> None:
    """Take a millisecond over a word."""
    threading.Event().wait(0.001)


def say(synthesizer: Synthesizer, text: str, wanted: SynthesisOptions) -> Pcm:
    blocks = list(synthesizer.synthesize(text, wanted))
    assert all(block.dtype == np.int16 and block.ndim == 1 and len(block) for block in blocks)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


def test_is_a_synthesizer(synthesizer: Synthesizer) -> None:
    assert isinstance(synthesizer, Synthesizer)
    assert 8_000 <= synthesizer.sample_rate <= 48_000
    assert synthesizer.speeds[0] <= 1.0 <= synthesizer.speeds[1]
    assert synthesizer.utterance_characters >= 100
    ids = [voice.id for voice in synthesizer.voices]
    assert ids
    assert len(set(ids)) == len(ids)
    tags = [tag for voice in synthesizer.voices for tag in voice.languages]
    assert all(voice.languages for voice in synthesizer.voices)
    assert tags == [tag.lower() for tag in tags]


def test_speaks(synthesizer: Synthesizer) -> None:
    sound = say(synthesizer, TEXT, options(synthesizer))
    assert 1 < len(sound) / synthesizer.sample_rate < 10
    assert np.abs(sound.astype(np.int32)).max() > 1_000


def test_sound_begins_before_the_piece_is_finished(
    synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A reader that comes late gets several blocks as one; here each stays as it was made.
    monkeypatch.setattr(utterance, "_MAX_BLOCK_BYTES", 0)
    piece = (TEXT + " ") * (synthesizer.utterance_characters // (len(TEXT) + 1))
    blocks = [len(block) for block in synthesizer.synthesize(piece, options(synthesizer))]
    assert blocks[0] < sum(blocks) / 3


@pytest.mark.parametrize("text", ["", " ", "—", "…", " - ", "\n\n"])
def test_what_cannot_be_said_gives_no_samples(synthesizer: Synthesizer, text: str) -> None:
    assert len(say(synthesizer, text, options(synthesizer))) == 0


def test_unknown_voices_are_refused(synthesizer: Synthesizer) -> None:
    with pytest.raises(UnsupportedOption) as caught:
        synthesizer.synthesize(TEXT, SynthesisOptions("no such voice"))
    assert caught.value.param == "voice"


def test_voices_differ(synthesizer: Synthesizer) -> None:
    first, last = (say(synthesizer, TEXT, options(synthesizer, voice=voice)) for voice in (0, -1))
    assert not np.array_equal(first, last)


def test_length_follows_speed(synthesizer: Synthesizer) -> None:
    normal = len(say(synthesizer, TEXT, options(synthesizer)))
    for speed in synthesizer.speeds:
        length = len(say(synthesizer, TEXT, options(synthesizer, speed)))
        assert normal / length == pytest.approx(speed, rel=0.05)


def test_the_same_words_sound_the_same_however_many_speak(synthesizer: Synthesizer) -> None:
    jobs = [
        (f"{TEXT} {'Again. ' * (number % 4)}", options(synthesizer, speed, voice=number % 2))
        for number in range(8)
        for speed in (1.0, synthesizer.speeds[1])
    ]
    alone = [say(synthesizer, *job) for job in jobs]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda job: say(synthesizer, *job), jobs))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


def test_pieces_may_be_heard_in_any_order(synthesizer: Synthesizer) -> None:
    texts = [f"{TEXT} {'Again. ' * number}" for number in range(6)]
    pieces = [synthesizer.synthesize(text, options(synthesizer)) for text in texts]
    lengths = [sum(map(len, piece)) for piece in reversed(pieces)]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(lengths)


def test_stopping_from_another_thread_ends_it(load: Load) -> None:
    synthesizer = load()
    if isinstance(synthesizer, FakeSynthesizer):
        synthesizer = FakeSynthesizer(Faults(pause=dawdle))
    try:
        heard = threading.Event()
        pieces = [synthesizer.synthesize(TEXT * 5, options(synthesizer)) for _ in range(20)]

        def listen() -> None:
            for piece in pieces:
                for _ in piece:
                    heard.set()

        with ThreadPoolExecutor(1) as threads:
            listening = threads.submit(listen)
            assert heard.wait(60)
            for piece in pieces:
                piece.stop()
                piece.stop()
            with pytest.raises(Cancelled):
                listening.result(60)
        assert len(say(synthesizer, TEXT, options(synthesizer)))
    finally:
        synthesizer.close()


def test_closing_ends_everything(load: Load) -> None:
    synthesizer = load()
    wanted = options(synthesizer)
    pieces = [synthesizer.synthesize(TEXT * 5, wanted) for _ in range(20)]
    synthesizer.close()
    synthesizer.close()
    with pytest.raises(EngineFailed):
        synthesizer.synthesize(TEXT, wanted)
    if isinstance(synthesizer, FakeSynthesizer):  # it makes sound only while somebody listens
        return
    with pytest.raises(EngineFailed):
        for piece in pieces:
            list(piece)
