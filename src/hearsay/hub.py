"""The model hub: is it there, what is in its cache on this machine, and getting weights from it.

Knows repositories and folders, not models. The hub library names files, sizes and checksums; the bytes are
fetched here with HTTP ranges, because that library (2.4) deletes a partial file when it is interrupted, and a
pull must go on where it stopped.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearsay import __version__
from hearsay.errors import DownloadFailed
from hearsay.weights import MANIFEST, Expected, digest_of, is_converted, read_manifest, write_atomically

WANTED = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""The files of a converted Whisper; a repository may hold more."""

PROBE_SECONDS = 3.0
"""How long the hub may take to answer before `auto` gives up on it."""

_ATTEMPTS = 5
_READ_SECONDS = 30.0
_BLOCK = 1 << 18

Progress = Callable[[int, int], None]
"""Told bytes that are here and bytes wanted in all."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub is and whether it may be used."""

    endpoint: str | None = None
    """Its address; None means what `HF_ENDPOINT` says, else the public hub."""
    allowed: bool = True
    """Whether anything may be asked of it at all."""
    cache: Path | None = None
    """The hub library's cache on this machine; None means where that library keeps it."""

    def address(self) -> str:
        """Give the endpoint without a slash at its end."""
        from huggingface_hub import constants

        return (self.endpoint or constants.ENDPOINT).rstrip("/")

    def reachable(self, timeout: float = PROBE_SECONDS) -> bool:
        """Ask whether the hub answers within `timeout` seconds; one that may not be asked is not there."""
        return self.allowed and self.problem(timeout) is None

    def problem(self, timeout: float = PROBE_SECONDS) -> str | None:
        """Say in a sentence why the hub cannot be used; None where it can."""
        import httpx

        if not self.allowed:
            return "downloads are switched off (--offline, HEARSAY_DOWNLOADS=off or HF_HUB_OFFLINE=1)."
        try:
            with httpx.Client(timeout=timeout) as client:
                answer = client.head(f"{self.address()}/api/models", params={"limit": 1})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{self.address()} does not answer within {timeout:g} seconds ({type(error).__name__})."
        return None if answer.status_code < 500 else f"{self.address()} answers {answer.status_code}."

    def cached(self, repository: str) -> Path | None:
        """Find a complete snapshot of a repository in the hub library's cache, whoever left it there."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(repository, "model.bin", cache_dir=self.cache)
        folder = Path(found).parent if isinstance(found, str) else None
        return folder if folder is not None and is_converted(folder) else None
