"""A book takes no more memory than a page: text comes, is cut, spoken, encoded and forgotten."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator

import pytest

from hearsay.domain import BytesLike, SynthesisOptions
from hearsay.engines.espeak import synthesizer as espeak
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.protocols import Synthesizer
from hearsay.media.encoding import AudioFormat, Container
from hearsay.text.sentences import split_utterances
from hearsay.tts.synthesis import Synthesis, encoded
from tests.support.paths import ROOT

N_SENTENCES = 600


class Book:
    """A text without an end, which counts the sentences that were read of it."""

    def __init__(self) -> None:
        self.n_read = 0

    def __iter__(self) -> Iterator[str]:
        for self.n_read in itertools.count(1):
            yield f"The number of this sentence is {self.n_read}.\n"


def reading(book: Book, synthesizer: Synthesizer, voice: str, container: Container) -> Iterator[BytesLike]:
    found = split_utterances(book, language="en", max_length=synthesizer.utterance_characters)
    synthesis = Synthesis(found, SynthesisOptions(voice), synthesizer)
    return encoded(synthesis, synthesizer, AudioFormat(container, 24_000))


@pytest.mark.parametrize("container", [Container.WAV, Container.MP3])
def test_a_book_is_read_in_flat_memory(container: Container) -> None:
    book = Book()
    sound = reading(book, FakeSynthesizer(), "low", container)
    while book.n_read < 100:
        next(sound)
    tracemalloc.start()
    while book.n_read < 200:
        next(sound)
    _, early = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    while book.n_read < N_SENTENCES:
        next(sound)
    _, late = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sound.close()  # type: ignore[attr-defined]
    assert early > 1000
    assert late < early + 200_000


def test_no_more_of_a_book_is_read_than_is_about_to_be_heard() -> None:
    book = Book()
    sound = reading(book, FakeSynthesizer(), "low", Container.RAW)
    next(sound)
    assert book.n_read < 30  # a short piece, a long one, and as far as it takes to find the end of that


def test_processes_that_read_a_book_do_not_grow_and_neither_do_we() -> None:
    # In a process of its own, whose memory nothing else takes or gives back.
    command = [sys.executable, "-m", "tests.system.test_long_texts"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT)
    before, after = json.loads(told.stdout)
    assert len(before) == 3
    assert all(late < early + 4096 for early, late in zip(before, after, strict=True)), (before, after)


def read_in_two_processes() -> tuple[list[int], list[int]]:
    """Read a book; give the kilobytes of this process and two that speak after a fifth and at its end."""
    book = Book()
    synthesizer = espeak.load(n_processes=2)
    pids = [os.getpid(), *synthesizer._processes.pids]
    sound = reading(book, synthesizer, "en-us+f3", Container.RAW)
    try:
        while book.n_read < N_SENTENCES // 5:
            next(sound)
        before = resident(pids)
        while book.n_read < N_SENTENCES:
            next(sound)
        return before, resident(pids)
    finally:
        synthesizer.close()


def resident(pids: list[int]) -> list[int]:
    """Return the kilobytes that processes have in memory."""
    answer = subprocess.run(
        ["ps", "-o", "rss=", "-p", ",".join(map(str, pids))], capture_output=True, check=True
    )
    found = [int(line) for line in answer.stdout.split()]
    assert len(found) == len(pids)
    return found


if __name__ == "__main__":
    print(json.dumps(read_in_two_processes()))
