"""The decoding process: limits on memory, and results in plain values."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hearsay.errors import AudioTooShort
from hearsay.media import worker_process
from hearsay.media.decoding import Decoded
from hearsay.samples import HELLO


def test_memory_beyond_the_limit_is_an_error_not_an_appetite() -> None:
    script = (
        "from hearsay.media.worker_process import _limit\n"
        "_limit(60, 64 * 1024 * 1024)\n"
        "try: bytearray(512 * 1024 * 1024)\n"
        "except MemoryError: print('refused')"
    )
    assert subprocess.check_output([sys.executable, "-c", script]) == b"refused\n"


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> worker_process.MediaDecoder:
    monkeypatch.setattr(worker_process, "_limit", lambda cpu_seconds, memory_bytes: None)
    return worker_process.MediaDecoder()


def run(decoder: worker_process.MediaDecoder, path: Path) -> dict[str, object]:
    request = json.dumps({"cpu_seconds": 60, "memory_bytes": 1 << 30, "max_duration": None}).encode()
    with path.open("rb") as source, tempfile.TemporaryFile() as pcm:
        descriptors = (os.dup(source.fileno()), os.dup(pcm.fileno()))
        result: dict[str, object] = json.loads(decoder.run(request, descriptors, lambda block: True))
        for descriptor in descriptors:  # which it has closed
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
        return {"n_bytes": os.fstat(pcm.fileno()).st_size} | result


def test_returns_what_it_found(decoder: worker_process.MediaDecoder) -> None:
    found = run(decoder, HELLO)
    assert found == {
        "n_bytes": 211_200, "n_samples": 105_600, "container": "flac", "codec": "flac", "warnings": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (
            AudioTooShort(),
            {
                "refused": "AudioTooShort",
                "message": "The recording is too short. The minimum length is 0.01 seconds.",
                "code": "audio_too_short",
            },
        ),
        (OSError(28, "No space left"), {"failed": 28, "message": "[Errno 28] No space left"}),
    ],
)
def test_returns_what_went_wrong(
    decoder: worker_process.MediaDecoder,
    error: Exception,
    result: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object, **more: object) -> Decoded:
        raise error

    monkeypatch.setattr(worker_process, "decode_file", fail)
    assert run(decoder, HELLO) == {"n_bytes": 0} | result


def test_a_defect_is_no_result(decoder: worker_process.MediaDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "decode_file", None)
    with pytest.raises(TypeError):
        run(decoder, HELLO)
