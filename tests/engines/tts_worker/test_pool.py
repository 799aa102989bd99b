"""Processes that synthesize, with a toy in them: order, losses, stopping, and nothing left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from hearsay.domain import SynthesisOptions
from hearsay.engines.protocols import SynthesisStream
from hearsay.engines.tts_worker.pool import SynthesizerPool
from hearsay.errors import Cancelled, EngineFailed
from hearsay.processes import supervisor
from tests.support.paths import ROOT

OPTIONS = SynthesisOptions("any")

Start = Callable[..., SynthesizerPool]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    started: list[SynthesizerPool] = []

    def start(n_processes: int = 1, time_limit: float = 60, **settings: Any) -> SynthesizerPool:
        processes = SynthesizerPool(
            "tests.support.toy_runner",
            settings,
            n_processes=n_processes,
            name="The toy",
            time_limit=time_limit,
        )
        started.append(processes)
        return processes

    yield start
    for processes in started:
        processes.close()


def heard(stream: SynthesisStream) -> str:
    return b"".join(block.astype(np.uint8).tobytes() for block in stream).decode("latin-1")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_returns_the_audio_of_each_text(start: Start) -> None:
    processes = start()
    assert processes.about["sample_rate"] == 8000
    assert heard(processes.submit("Hello, you there", OPTIONS)) == "Hello,youthere"
    assert heard(processes.submit("12", SynthesisOptions("any", 2.0))) == "bd"
    assert heard(processes.submit("", OPTIONS)) == ""


def test_gives_writable_samples_in_blocks(start: Start) -> None:
    blocks = list(start().submit("a WAIT LONG LONG b", OPTIONS))
    assert all(block.dtype == np.int16 and block.flags.writeable for block in blocks)
    assert len(blocks[0]) == 1
    assert sum(map(len, blocks)) == 200_002
    assert len(blocks) <= 4


def test_audio_of_any_length_comes_whole(start: Start) -> None:
    processes = start()
    for text in ("LONG " * 63, "LONG " * 63 + "end", "a"):
        assert heard(processes.submit(text, OPTIONS)) == text.replace("LONG", "x" * 100_000).replace(" ", "")


def test_what_is_stopped_in_the_middle_of_much_audio_is_forgotten(start: Start) -> None:
    processes = start()
    (pid,) = processes.pids
    for _ in range(5):
        long = processes.submit("LONG " * 200, OPTIONS)
        next(iter(long))
        long.stop()
        assert heard(processes.submit("next LONG", OPTIONS)) == "next" + "x" * 100_000
    assert processes.pids == [pid]


def test_begins_utterances_in_order(start: Start) -> None:
    processes = start()
    endless = processes.submit("ENDLESS", OPTIONS)
    next(iter(endless))
    utterances = [processes.submit("COUNT", OPTIONS) for _ in range(20)]
    endless.stop()
    assert [heard(utterance) for utterance in reversed(utterances)] == [
        chr(number) for number in reversed(range(2, 22))
    ]


def test_what_is_awaited_goes_before_what_is_synthesized_ahead(start: Start) -> None:
    processes = start()
    endless = processes.submit("ENDLESS", OPTIONS)
    next(iter(endless))
    ahead = [processes.submit("COUNT", OPTIONS, is_awaited=False) for _ in range(2)]
    awaited = [processes.submit("COUNT", OPTIONS) for _ in range(2)]
    endless.stop()
    assert [heard(utterance) for utterance in (*awaited, *ahead)] == ["\2", "\3", "\4", "\5"]


def test_many_threads_get_each_their_own(start: Start) -> None:
    processes = start(n_processes=3)
    texts = [f"piece number {number} LONG end" for number in range(60)]
    with ThreadPoolExecutor(12) as threads:
        results = list(threads.map(lambda text: heard(processes.submit(text, OPTIONS)), texts))
    assert results == [f"piecenumber{number}" + "x" * 100_000 + "end" for number in range(60)]


def test_a_slow_listener_holds_no_process(start: Start) -> None:
    processes = start()
    slow = [processes.submit("LONG LONG LONG", OPTIONS) for _ in range(10)]
    assert heard(processes.submit("quick", OPTIONS)) == "quick"
    assert all(heard(utterance) == "x" * 300_000 for utterance in slow)


def test_all_processes_are_used(start: Start) -> None:
    processes = start(n_processes=2)
    endless = processes.submit("ENDLESS", OPTIONS)
    next(iter(endless))
    assert heard(processes.submit("meanwhile", OPTIONS)) == "meanwhile"
    endless.stop()


def test_stopping_ends_what_is_being_synthesized_and_keeps_the_process(start: Start) -> None:
    processes = start()
    (pid,) = processes.pids
    endless = processes.submit("ENDLESS", OPTIONS)
    next(iter(endless))
    endless.stop()
    endless.stop()
    with pytest.raises(Cancelled):
        list(endless)
    assert heard(processes.submit("next", OPTIONS)) == "next"
    assert processes.pids == [pid]


def test_stopping_wakes_a_thread_that_waits_for_audio(start: Start) -> None:
    processes = start()
    endless = processes.submit("ENDLESS", OPTIONS)
    next(iter(endless))
    waiting = processes.submit("later", OPTIONS)
    with ThreadPoolExecutor(1) as threads:
        listening = threads.submit(heard, waiting)
        waiting.stop()
        with pytest.raises(Cancelled):
            listening.result()
    endless.stop()
    assert heard(processes.submit("next", OPTIONS)) == "next"


def test_what_was_stopped_before_its_turn_is_never_synthesized(start: Start) -> None:
    processes = start()
    (pid,) = processes.pids
    endless = processes.submit("ENDLESS", OPTIONS)
    deadly = processes.submit("DIE", OPTIONS)
    deadly.stop()
    endless.stop()
    assert heard(processes.submit("alive", OPTIONS)) == "alive"
    assert processes.pids == [pid]


def test_stopping_after_the_end_is_no_error(start: Start) -> None:
    processes = start()
    utterance = processes.submit("word", OPTIONS)
    assert heard(utterance) == "word"
    utterance.stop()
    assert heard(processes.submit("next", OPTIONS)) == "next"


def test_a_process_that_dies_fails_its_utterance_only(start: Start) -> None:
    processes = start()
    (pid,) = processes.pids
    deadly, following = processes.submit("some DIE", OPTIONS), processes.submit("more", OPTIONS)
    with pytest.raises(EngineFailed, match="The toy ended in the middle"):
        heard(deadly)
    with pytest.raises(EngineFailed):  # and again
        heard(deadly)
    assert heard(following) == "more"
    assert processes.pids != [pid]


def test_a_process_killed_from_outside_is_replaced(start: Start) -> None:
    processes = start()
    for _ in range(3):
        endless = processes.submit("ENDLESS", OPTIONS)
        next(iter(endless))
        os.kill(processes.pids[0], signal.SIGKILL)
        with pytest.raises(EngineFailed):
            heard(endless)
    assert heard(processes.submit("still here", OPTIONS)) == "stillhere"


def test_a_process_that_is_spent_is_replaced_and_nothing_is_lost(start: Start) -> None:
    processes = start()
    (pid,) = processes.pids
    utterances = [processes.submit(text, OPTIONS) for text in ("one", "two LONG SPEND end", "COUNT", "COUNT")]
    assert [heard(utterance) for utterance in utterances] == [
        "one",
        "two" + "x" * 100_000 + "SPENDend",
        "\1",
        "\2",
    ]
    assert processes.pids != [pid]
    assert not is_alive(pid)


def test_a_process_killed_while_idle_is_replaced(start: Start) -> None:
    processes = start()
    os.kill(processes.pids[0], signal.SIGKILL)
    assert heard(processes.submit("still here", OPTIONS)) == "stillhere"


def test_a_refused_utterance_keeps_the_process(start: Start) -> None:
    processes = start()
    (pid,) = processes.pids
    with pytest.raises(EngineFailed, match="It hurts"):
        heard(processes.submit("a FAIL", OPTIONS))
    assert heard(processes.submit("b", OPTIONS)) == "b"
    assert processes.pids == [pid]


def test_a_hung_process_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_TICK", 0.05)
    processes = start(time_limit=0.3)
    with pytest.raises(EngineFailed, match="no sign of life"):
        heard(processes.submit("HANG", OPTIONS))
    assert heard(processes.submit("next", OPTIONS)) == "next"


def test_a_process_that_makes_no_sense_is_killed(start: Start) -> None:
    processes = start()
    (pid,) = processes.pids
    with pytest.raises(EngineFailed, match="in the middle of its work: it said what makes no sense"):
        heard(processes.submit("RAVE", OPTIONS))
    assert heard(processes.submit("next", OPTIONS)) == "next"
    assert processes.pids != [pid]


def test_what_cannot_be_started_says_why(start: Start) -> None:
    with pytest.raises(EngineFailed, match=r"The toy could not be started: No model there\."):
        start(n_processes=2, refuse="No model there.")
    with pytest.raises(EngineFailed, match="ended at once; the log says why"):
        start(die=True)


def test_what_cannot_be_started_again_says_why(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = start()
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    with pytest.raises(EngineFailed):
        heard(processes.submit("DIE", OPTIONS))
    with pytest.raises(EngineFailed, match="could not be started"):
        heard(processes.submit("a", OPTIONS))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert heard(processes.submit("a", OPTIONS)) == "a"


def test_closing_ends_everything(start: Start) -> None:
    processes = start(n_processes=2)
    pids = processes.pids
    running = [processes.submit("ENDLESS", OPTIONS) for _ in range(2)]
    waiting = processes.submit("later", OPTIONS)
    processes.close()
    processes.close()
    for utterance in (*running, waiting):
        with pytest.raises(EngineFailed, match="has been closed"):
            heard(utterance)
    with pytest.raises(EngineFailed, match="has been closed"):
        processes.submit("x", OPTIONS)
    assert not any(map(is_alive, pids))
    assert processes.pids == []


def test_garbage_takes_its_processes_along() -> None:
    os.environ["PYTHONPATH"] = str(ROOT)
    processes = SynthesizerPool("tests.support.toy_runner", {}, n_processes=1, name="The toy")
    threads = list(processes._threads)
    (pid,) = processes.pids
    del processes
    gc.collect()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert not is_alive(pid)


@pytest.mark.parametrize("text", ["idle", "ENDLESS", "LONG " * 100 + "ENDLESS"])
def test_ends_with_its_parent_whatever_it_is_at(text: str) -> None:
    root = str(ROOT)
    program = (
        "from hearsay.engines.tts_worker.pool import SynthesizerPool\n"
        "from hearsay.domain import SynthesisOptions\n"
        "import os, signal, sys\n"
        "processes = SynthesizerPool('tests.support.toy_runner', {}, n_processes=1, name='The toy')\n"
        "next(iter(processes.submit(sys.argv[1], SynthesisOptions('any'))))\n"
        "print(processes.pids[0], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, text],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stderr == b""
    pid = int(ended.stdout)
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)
