"""Recordings written as base64; the rest of this room is tested through the server."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from hearsay.api.request.audio_source import Base64Source, decode_base64


def test_base64_goes_into_the_file_that_is_there(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    decode_base64(Base64Source(base64.b64encode(b"speech"), 0), target, 100)
    assert target.read_bytes() == b"speech"


def test_nothing_is_written_for_a_caller_who_has_gone(tmp_path: Path) -> None:
    """The file is removed when the caller hangs up, while a thread may still be at work for it."""
    with pytest.raises(FileNotFoundError):
        decode_base64(Base64Source(base64.b64encode(b"speech"), 0), tmp_path / "removed", 100)
    assert list(tmp_path.iterdir()) == []
