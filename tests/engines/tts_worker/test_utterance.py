"""An utterance's audio comes in blocks, once, until its end, a failure or a stop."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from hearsay.engines.tts_worker.utterance import Utterance
from hearsay.errors import Cancelled, EngineFailed


def test_audio_that_waits_is_one_block_that_may_be_changed() -> None:
    utterance = Utterance(b"{}")
    for letter in (b"a\0", b"b\0", b"c\0"):
        utterance.add(bytearray(letter))
    utterance.end()
    (block,) = utterance
    block += 1
    assert block.dtype == np.int16
    assert block.tolist() == [98, 99, 100]
    assert list(utterance) == []


def test_much_audio_that_waits_is_several_blocks() -> None:
    utterance = Utterance(b"{}")
    for _ in range(5):
        utterance.add(bytearray(600_000))
    utterance.end()
    assert [len(block) for block in utterance] == [600_000, 600_000, 300_000]


def test_a_failure_comes_after_the_audio_and_again() -> None:
    utterance = Utterance(b"{}")
    utterance.add(bytearray(2))
    utterance.end(EngineFailed("It hurts."))
    blocks = iter(utterance)
    assert len(next(blocks)) == 1
    for again in (blocks, iter(utterance)):
        with pytest.raises(EngineFailed, match="It hurts"):
            next(again)


def test_stopping_forgets_the_audio_and_takes_no_more() -> None:
    utterance = Utterance(b"{}")
    utterance.add(bytearray(2))
    utterance.stop()
    utterance.stop()
    utterance.add(bytearray(2))
    for _ in range(2):
        with pytest.raises(Cancelled):
            list(utterance)
    assert utterance.request.is_cancelled


def test_stopping_wakes_a_thread_that_waits() -> None:
    utterance = Utterance(b"{}")
    timer = threading.Timer(0.05, utterance.stop)
    timer.start()
    with pytest.raises(Cancelled):
        list(utterance)
    timer.join()
