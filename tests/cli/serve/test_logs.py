"""Log lines: one stream for ours and the libraries', in the style that the settings name."""

from __future__ import annotations

import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from hearsay.cli.serve import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_for_ours_and_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "auto")
    structlog.get_logger("ours").info("request", model="whisper-é", status=200)
    structlog.get_logger("ours").debug("not told")
    logging.getLogger("library").warning("careful %s", "now")
    logging.getLogger("httpx").info("not told")
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("ours").exception("failed")
    out, err = capsys.readouterr()
    first, second, third = map(json.loads, err.splitlines())
    assert out == ""
    assert (first["event"], first["level"], first["model"], first["status"]) == (
        "request",
        "info",
        "whisper-é",
        200,
    )
    assert (second["event"], second["level"]) == ("careful now", "warning")
    assert "whisper-é" in err and "broken" in json.dumps(third)


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", "console")
    structlog.get_logger("ours").info("not told")
    structlog.get_logger("ours").error("failed", model="m")
    logging.getLogger("uvicorn.error").info("not told")
    err = capsys.readouterr().err
    assert "failed" in err and "model=m" in err and "not told" not in err and not err.startswith("{")


class Full(io.StringIO):
    """Where nothing can be written any more."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "no space left")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_that_cannot_be_written_is_all_that_is_lost(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in (Full(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", stream)
        logs.configure("info", style)
        log = structlog.get_logger("ours")
        if not isinstance(stream, Full):
            stream.close()
        log.info("request")
        log.error("failed")
        try:
            raise ValueError("broken")
        except ValueError:
            log.exception("worse")
