"""Worker processes for decoding: crashes, timeouts, refusals, and no leftovers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hearsay.domain import SAMPLE_RATE
from hearsay.errors import AudioTooShort, EngineFailed, InvalidAudio
from hearsay.media import decoding, worker_pool
from hearsay.media.worker_pool import MediaDecoderPool
from hearsay.samples import HELLO
from tests.support.recordings import tone

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes through /proc")


STRANGERS: set[int] = set()
"""Worker processes that were there before the test."""


def run(
    test: Callable[[MediaDecoderPool], Awaitable[None]], n_workers: int = 1, **options: float | Path
) -> None:
    """Run a test with a pool on a loop of its own."""

    async def main() -> None:
        pool = MediaDecoderPool(n_workers=n_workers, **{"timeout": 60.0, **options})  # type: ignore[arg-type]
        try:
            await test(pool)
        finally:
            await pool.close()
        assert workers() == []

    asyncio.run(main())


def workers(parent: int | None = None) -> list[int]:
    """Find the living worker processes of this process, or of another, that a test has made."""
    threads = Path(f"/proc/{parent or os.getpid()}/task").iterdir()
    children = [int(pid) for thread in threads for pid in _read(thread / "children").split()]
    found = [pid for pid in children if "hearsay.media.worker_process" in _read(Path(f"/proc/{pid}/cmdline"))]
    return [pid for pid in found if pid not in STRANGERS]


def _read(path: Path) -> str:
    """Read what the kernel says of a thread or process; nothing where it has just ended."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture(autouse=True)
def _strangers() -> Iterator[None]:
    """Look away from the workers of servers that the tests of other modules keep running beside."""
    STRANGERS.update(workers())
    yield
    STRANGERS.clear()


async def until(condition: Callable[[], bool]) -> None:
    """Let others work until something holds; the test's own time limit ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.001)


async def stuck(pool: MediaDecoderPool) -> tuple[int, asyncio.Task[object]]:
    """Begin to decode in a worker that has been made to stand still."""
    await pool.decode(HELLO)
    (worker,) = workers()
    os.kill(worker, signal.SIGSTOP)
    task: asyncio.Task[object] = asyncio.create_task(pool.decode(HELLO))
    await until(lambda: not pool._idle)
    return worker, task


def test_gives_what_decoding_here_gives(tmp_path: Path) -> None:
    cut = tmp_path / "cut.flac"
    cut.write_bytes(HELLO.read_bytes()[:60_000])

    async def test(pool: MediaDecoderPool) -> None:
        for path in (HELLO, cut):
            there, here = await pool.decode(path), decoding.load(path)
            assert np.array_equal(there.pcm, here.pcm)
            assert there.warnings == here.warnings
        assert here.warnings

    run(test)


def test_long_recordings_are_mapped_from_a_file_without_a_name(tmp_path: Path) -> None:
    path, folder = tmp_path / "long.wav", tmp_path / "spool"
    folder.mkdir()
    path.write_bytes(decoding.encode(np.tile(tone(10.0), 15), "wav"))

    async def test(pool: MediaDecoderPool) -> None:
        heard = await pool.decode(path)
        assert heard.duration == 150
        assert not heard.pcm.flags.owndata
        assert list(folder.iterdir()) == []
        await pool.close()
        assert np.abs(heard.samples(149 * SAMPLE_RATE)).max() == pytest.approx(0.5, abs=0.01)

    run(test, folder=folder)


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"", InvalidAudio, "empty_file"),
        (b"Not a recording.", InvalidAudio, "invalid_audio"),
        (decoding.encode(np.zeros(10, np.float32), "wav"), AudioTooShort, "audio_too_short"),
        (decoding.encode(np.zeros(64_000, np.float32), "wav"), InvalidAudio, "audio_too_long"),
    ],
)
def test_refusals_come_through_unchanged(
    data: bytes, kind: type[InvalidAudio], code: str, tmp_path: Path
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)

    async def test(pool: MediaDecoderPool) -> None:
        with pytest.raises(kind) as refused:
            await pool.decode(path)
        assert (type(refused.value), refused.value.code, refused.value.param) == (kind, code, "file")
        first = workers()
        assert (await pool.decode(HELLO)).n_samples == 105_600 if code == "empty_file" else True
        assert workers() == first

    run(test, max_duration=3.0 if code == "audio_too_long" else 60.0)


def test_a_missing_file_is_not_the_callers_fault(tmp_path: Path) -> None:
    async def test(pool: MediaDecoderPool) -> None:
        with pytest.raises(FileNotFoundError):
            await pool.decode(tmp_path / "gone")

    run(test)


def test_many_files_share_few_workers() -> None:
    async def test(pool: MediaDecoderPool) -> None:
        heard = await asyncio.gather(*(pool.decode(HELLO) for _ in range(20)))
        assert {recording.n_samples for recording in heard} == {105_600}
        assert 1 <= len(workers()) <= 2

    run(test, n_workers=2)


def test_a_lost_worker_costs_one_file() -> None:
    async def test(pool: MediaDecoderPool) -> None:
        worker, task = await stuck(pool)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(InvalidAudio, match="breaks the decoder"):
            await task
        assert (await pool.decode(HELLO)).n_samples == 105_600
        assert worker not in workers()

    run(test)


def test_a_worker_lost_while_idle_costs_nothing() -> None:
    async def test(pool: MediaDecoderPool) -> None:
        await pool.decode(HELLO)
        (worker,) = workers()
        os.kill(worker, signal.SIGKILL)
        await until(lambda: not _is_alive(worker))
        assert (await pool.decode(HELLO)).n_samples == 105_600

    run(test)


def test_a_file_that_takes_too_long_is_refused() -> None:
    async def test(pool: MediaDecoderPool) -> None:
        worker, task = await stuck(pool)
        with pytest.raises(InvalidAudio, match=r"longer than 1 seconds") as refused:
            await task
        assert refused.value.code == "decode_timeout"
        assert worker not in workers()
        assert (await pool.decode(HELLO)).n_samples == 105_600

    run(test, timeout=1.0)


def test_cancelling_kills_the_work_and_frees_the_place() -> None:
    async def test(pool: MediaDecoderPool) -> None:
        worker, task = await stuck(pool)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: worker not in workers())
        assert (await pool.decode(HELLO)).n_samples == 105_600

    run(test)


def test_cancelling_while_waiting_leaves_the_queue() -> None:
    async def test(pool: MediaDecoderPool) -> None:
        worker, task = await stuck(pool)
        waiting = asyncio.create_task(pool.decode(HELLO))
        await until(lambda: len(pool._slots._waiters or ()) == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not pool._slots._waiters
        os.kill(worker, signal.SIGCONT)
        await task

    run(test)


def test_workers_are_renewed_after_enough_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_REQUESTS_PER_PROCESS", 2)

    async def test(pool: MediaDecoderPool) -> None:
        seen = set()
        for _ in range(3):
            await pool.decode(HELLO)
            seen.update(workers())
        assert len(seen) == 2

    run(test)


def test_closing_ends_the_work_and_refuses_more() -> None:
    async def test(pool: MediaDecoderPool) -> None:
        _, task = await stuck(pool)
        await pool.close()
        assert workers() == []
        for refused in (task, pool.decode(HELLO)):
            with pytest.raises(EngineFailed, match="shut down"):
                await refused

    run(test)


def test_killing_the_owner_leaves_neither_worker_nor_file(tmp_path: Path) -> None:
    path, folder = tmp_path / "long.wav", tmp_path / "spool"
    folder.mkdir()
    path.write_bytes(decoding.encode(np.tile(tone(10.0), 15), "wav"))
    script = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from hearsay.media.worker_pool import MediaDecoderPool\n"
        "async def main():\n"
        "    pool = MediaDecoderPool(n_workers=1, timeout=60, folder=Path(sys.argv[2]))\n"
        "    heard = await pool.decode(Path(sys.argv[1]))\n"
        "    print(heard.duration, flush=True); sys.stdin.read()\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", script, str(path), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"150.0\n"
        (worker,) = workers(owner.pid)
        owner.kill()
    asyncio.run(until(lambda: not _is_alive(worker)))
    assert list(folder.iterdir()) == []


def _is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
