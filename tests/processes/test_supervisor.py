"""One supervised process: asked, cancelled, lost, hung, replaced, closed, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hearsay.errors import Cancelled, EngineFailed
from hearsay.processes import supervisor
from hearsay.processes.protocol import RequestFailed
from hearsay.processes.supervisor import WorkerHung, WorkerLost, WorkerProcess, WorkerRequest
from tests.support.paths import ROOT

Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    started: list[WorkerProcess] = []

    def start(settings: dict[str, Any] | None = None, **options: Any) -> WorkerProcess:
        started.append(WorkerProcess("tests.support.toy_runner", settings, name="The toy", **options))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


def asked(text: str) -> WorkerRequest:
    return WorkerRequest(json.dumps({"text": text}).encode())


def answer(worker: WorkerProcess, text: str) -> str:
    blocks: list[bytearray] = []
    worker.run(asked(text), blocks.append)
    return b"".join(block[::2] for block in blocks).decode("latin-1")


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Running:
    """A request on a thread, once its first block has come."""

    def __init__(self, worker: WorkerProcess, text: str, threads: ThreadPoolExecutor) -> None:
        self.request = asked(text)
        begun = threading.Event()
        self.result = threads.submit(worker.run, self.request, lambda block: begun.set())
        assert begun.wait(60)


def test_starts_when_first_asked_and_answers_in_blocks(start: Start) -> None:
    worker = start()
    assert worker.pid is None
    assert answer(worker, "Hello, you there") == "Hello,youthere"
    assert worker.about == {"sample_rate": 8000, "pid": worker.pid}
    request = asked("")
    assert worker.run(request) == b"2"
    assert not request.has_data
    assert worker.n_requests == 2


def test_open_files_go_with_a_request(start: Start) -> None:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(b"through the child")
        source.seek(0)
        start().run(asked("COPY"), descriptors=(source.fileno(), target.fileno()))
        target.seek(0)
        assert target.read() == b"through the child"


def test_long_responses_come_whole(start: Start) -> None:
    assert answer(start(), "LONG " * 70 + "end") == "x" * 7_000_000 + "end"


def test_a_refused_request_keeps_the_process(start: Start) -> None:
    worker = start()
    with pytest.raises(RequestFailed, match=r"^It hurts\.$"):
        worker.run(asked("a FAIL"))
    pid = worker.pid
    assert answer(worker, "COUNT") == "\2"
    assert worker.pid == pid


def test_cancelling_ends_a_request_and_keeps_the_process(start: Start) -> None:
    worker = start()
    with ThreadPoolExecutor() as threads:
        running = Running(worker, "ENDLESS", threads)
        pid = worker.pid
        running.request.cancel()
        running.request.cancel()
        assert running.result.result(10) == b"1"
    assert answer(worker, "next") == "next"
    assert worker.pid == pid


def test_a_request_cancelled_before_its_turn_is_never_sent(start: Start) -> None:
    worker = start()
    deadly = asked("DIE")
    deadly.cancel()
    with pytest.raises(Cancelled):
        worker.run(deadly)
    assert answer(worker, "COUNT") == "\1"


def test_cancelling_after_the_end_does_nothing(start: Start) -> None:
    worker = start()
    request = asked("word")
    worker.run(request)
    request.cancel()
    assert answer(worker, "LONG COUNT") == "x" * 100_000 + "\2"


def test_a_process_that_goes_on_with_a_cancelled_request_is_killed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_TICK", 0.05)
    worker = start(cancel_seconds=0.1)
    with ThreadPoolExecutor() as threads:
        running = Running(worker, "a HANG", threads)
        pid = worker.pid
        running.request.cancel()
        with pytest.raises(Cancelled):
            running.result.result(10)
    assert not is_alive(pid)
    assert answer(worker, "next") == "next"


def test_without_patience_cancelling_kills_at_once(start: Start) -> None:
    worker = start(cancel_seconds=0)
    with ThreadPoolExecutor() as threads:
        running = Running(worker, "a HANG", threads)
        pid = worker.pid
        running.request.cancel()
        with pytest.raises(Cancelled):
            running.result.result(10)
    assert not is_alive(pid)
    assert answer(worker, "next") == "next"


def test_a_process_killed_at_the_very_end_of_its_request_meets_no_other(start: Start) -> None:
    worker = start(cancel_seconds=0)
    request = asked("word")
    with contextlib.suppress(Cancelled):  # as its last frame came before or after
        worker.run(request, lambda block: request.cancel())
    assert worker.pid is None
    assert answer(worker, "next") == "next"


def test_cancelling_a_request_whose_process_is_lost_does_not_cancel_the_next_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes to a process before it has started would end it."""
    worker, request, cancelled = start(second_chance=True), asked("DIE"), []
    monkeypatch.setattr(worker, "cancel", lambda: cancelled.append(request))
    end_process = worker.end_process

    def cancel_meanwhile() -> None:
        if worker.pid is not None:
            request.cancel()
        end_process()

    monkeypatch.setattr(worker, "end_process", cancel_meanwhile)
    with pytest.raises(Cancelled):
        worker.run(request)
    assert cancelled == []


def test_a_process_that_dies_fails_its_request_only(start: Start) -> None:
    worker = start()
    worker.start()
    pid = worker.pid
    with pytest.raises(WorkerLost):
        worker.run(asked("some DIE"))
    assert not is_alive(pid)
    assert answer(worker, "more") == "more"


def test_a_process_killed_while_idle_is_replaced(start: Start) -> None:
    worker = start()
    for _ in range(3):
        worker.start()
        assert worker._process is not None
        worker._process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, worker._process.pid, os.WEXITED | os.WNOWAIT)
        assert answer(worker, "COUNT") == "\1"


@pytest.mark.parametrize(("second_chance", "n_processes"), [(False, 1), (True, 2)])
def test_a_request_of_which_nothing_came_may_have_a_second_chance(
    start: Start, second_chance: bool, n_processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, started = start(second_chance=second_chance), []
    start_module = supervisor.start_module

    def counted(*arguments: Any, **more: Any) -> Any:
        started.append(arguments)
        return start_module(*arguments, **more)

    monkeypatch.setattr(supervisor, "start_module", counted)
    with pytest.raises(WorkerLost):
        worker.run(asked("DIE"))
    assert len(started) == n_processes
    with pytest.raises(WorkerLost):
        worker.run(asked("some DIE"))  # of which something came
    assert len(started) == n_processes + 1


def test_a_second_chance_saves_a_request_sent_to_a_dying_process(start: Start) -> None:
    worker = start(second_chance=True)
    worker.start()
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    with ThreadPoolExecutor() as threads:
        request = asked("still here")
        result = threads.submit(worker.run, request)
        while request._worker is None:
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        assert result.result(60) == b"1"
    assert worker.pid != pid


def test_a_silent_process_is_killed_and_has_no_second_chance(start: Start) -> None:
    worker = start(time_limit=0.3, second_chance=True)
    worker.start()
    pid = worker.pid
    with pytest.raises(WorkerHung, match=r"no sign of life for 0\.3 s"):
        worker.run(asked("HANG"))
    assert not is_alive(pid)
    assert answer(worker, "next") == "next"


def test_a_process_that_says_what_makes_no_sense_is_killed(start: Start) -> None:
    worker = start()
    with pytest.raises(WorkerLost, match="it said what makes no sense"):
        worker.run(asked("RAVE"))
    assert worker.pid is None
    assert answer(worker, "next") == "next"


def test_a_spent_process_is_replaced_and_nothing_is_lost(start: Start) -> None:
    worker = start()
    worker.start()
    pid = worker.pid
    assert answer(worker, "two LONG SPEND end") == "two" + "x" * 100_000 + "SPENDend"
    assert not is_alive(pid)
    assert answer(worker, "COUNT") == "\1"


def test_ending_the_process_is_no_end_of_the_worker(start: Start) -> None:
    worker = start()
    for _ in range(2):
        assert answer(worker, "COUNT") == "\1"
        worker.end_process()
        assert worker.pid is None


def test_what_cannot_be_started_says_why(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineFailed, match=r"^The toy could not be started: No model there\.$"):
        start({"refuse": "No model there."}).start()
    with pytest.raises(EngineFailed, match="ended at once; the log says why"):
        start({"die": True}).start()
    worker = start()
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    with pytest.raises(EngineFailed, match="could not be started"):
        worker.run(asked("a"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert answer(worker, "a") == "a"


def test_a_process_that_cannot_be_made_is_an_engine_failure(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(EngineFailed, match=r"could not be started: .*Resource temporarily"):
        start().start()


def test_closing_ends_what_is_under_way_and_refuses_more(start: Start) -> None:
    worker = start()
    with ThreadPoolExecutor() as threads:
        running = Running(worker, "ENDLESS", threads)
        pid = worker.pid
        worker.close()
        with pytest.raises(EngineFailed, match=r"^The toy has been closed\.$"):
            running.result.result(10)
    assert not is_alive(pid)
    worker.close()
    with pytest.raises(EngineFailed, match="has been closed"):
        worker.run(asked("more"))
    assert worker.pid is None


def test_closing_while_it_starts_leaves_no_process(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, pids = start(), []
    start_module = supervisor.start_module

    def interrupted(*arguments: Any, **more: Any) -> Any:
        process = start_module(*arguments, **more)
        pids.append(process.pid)
        worker.close()
        return process

    monkeypatch.setattr(supervisor, "start_module", interrupted)
    with pytest.raises(EngineFailed, match="has been closed"):
        worker.start()
    assert worker.pid is None
    assert not any(map(is_alive, pids))


def test_many_requests_leave_no_file_or_memory_behind(start: Start) -> None:
    worker = start()
    held = Path("/proc/self/statm")
    if not held.exists():
        pytest.skip("this system does not tell how much memory a process has")
    used = []
    for _ in range(4):
        for _ in range(100):
            worker.run(asked("LONG"))
        with pytest.raises(WorkerLost):
            worker.run(asked("DIE"))
        gc.collect()
        used.append((len(list(Path("/dev/fd").iterdir())), int(held.read_text().split()[1]) * 4096))
    assert len({n_files for n_files, _ in used}) == 1
    assert used[-1][1] - used[0][1] < 4 << 20


def test_a_child_holds_no_socket_file_or_secret_of_ours(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("looks at processes through /proc")
    monkeypatch.setenv("HEARSAY_API_KEY", "sk-secret")
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        worker = start()
        worker.start()
        targets = [entry.readlink() for entry in Path(f"/proc/{worker.pid}/fd").iterdir()]
        # Standard input and its copy.
        assert sum(str(target).startswith("socket:") for target in targets) == 2
        assert not any(target.name == "secret" for target in targets)
        assert b"sk-secret" not in Path(f"/proc/{worker.pid}/environ").read_bytes()


@pytest.mark.parametrize("text", ["idle", "ENDLESS", "LONG " * 100 + "ENDLESS"])
def test_ends_with_its_parent_whatever_it_is_at(text: str) -> None:
    program = (
        "import json, os, signal, sys\n"
        "from hearsay.processes.supervisor import WorkerProcess, WorkerRequest\n"
        "worker = WorkerProcess('tests.support.toy_runner', name='The toy')\n"
        "def die(block):\n"
        "    print(worker.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "worker.run(WorkerRequest(json.dumps({'text': sys.argv[1]}).encode()), die)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, text],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert ended.stderr == b""
    deadline = time.monotonic() + 10
    while is_alive(int(ended.stdout)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(int(ended.stdout))


def test_keeps_secrets_and_working_folder_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    environment = supervisor._environment()
    assert "sk-secret" not in environment.values()
    package, other = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(package) / "hearsay").samefile(Path(supervisor.__file__).parents[1])
    assert other == "/somewhere/else"


def test_runs_a_module_of_ours_in_a_group_of_its_own() -> None:
    child = supervisor.start_module("hearsay.media.worker_process", stdin=subprocess.PIPE)
    try:
        assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
