"""API keys: made at random, shown once, stored as SHA-256 in one file, compared in constant time.

Knows no request and no header. Keys have 256 random bits, so a plain hash is as good as a slow one, and
cannot be used to keep the server busy. The file is replaced atomically, readable by its owner only, and
re-read when it changes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from hearsay.errors import ConfigurationError, Unauthorized
from hearsay.storage.atomic import write_atomically

PREFIX = "hs-"
"""How every key that is made here begins."""

_N_BYTES = 32
_VERSION = 1


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is stored of a key."""

    id: str
    """Eight hexadecimal digits, to name the key when it is revoked."""
    name: str
    """What it was made for, in the operator's words."""
    digest: str
    """SHA-256 of the key, hexadecimal."""
    created: int
    """Unix time."""
    hint: str
    """Its first and last characters, to distinguish keys."""


class KeyFile:
    """The file of hashed keys."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock

    def add(self, name: str) -> tuple[str, KeyRecord]:
        """Make a key and store its hash; only this answer has the key. Raises: `ConfigurationError`."""
        if not name.strip():
            raise ConfigurationError("A key needs a name, so that it can be recognised later.")
        with self._locked():
            records = self.records()
            if any(record.name == name for record in records):
                raise ConfigurationError(f"There is a key named {name!r} already; revoke it first.")
            key = PREFIX + secrets.token_urlsafe(_N_BYTES)
            record = KeyRecord(
                id=secrets.token_hex(4),
                name=name,
                digest=_digest(key),
                created=int(self._clock()),
                hint=f"{key[:6]}…{key[-4:]}",
            )
            self._write([*records, record])
        return key, record

    def records(self) -> list[KeyRecord]:
        """Read all keys. Raises: `ConfigurationError` where the file is damaged."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            return [KeyRecord(**key) for key in data["keys"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"The key file {self.path} cannot be read: {error}") from error

    def revoke(self, which: str) -> KeyRecord:
        """Remove the key with this id or name. Raises: `ConfigurationError` where there is none."""
        with self._locked():
            records = self.records()
            gone = next((record for record in records if which in {record.id, record.name}), None)
            if gone is None:
                names = ", ".join(record.name for record in records) or "there are none"
                raise ConfigurationError(f"There is no key {which!r}. Keys: {names}.")
            self._write([record for record in records if record is not gone])
        return gone

    def version(self) -> tuple[int, int, int] | None:
        """Return a value that changes when the file does; None while there is none."""
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return None
        return state.st_mtime_ns, state.st_size, state.st_ino

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(f"{self.path}.lock", mode=0o600)

    def _write(self, records: Sequence[KeyRecord]) -> None:
        data = {"version": _VERSION, "keys": [asdict(record) for record in records]}
        write_atomically(self.path, json.dumps(data, indent=1), mode=0o600)


class Keyring:
    """The valid keys of a server: those of a file, as it is now, and fixed ones."""

    def __init__(self, file: KeyFile | None = None, fixed: Sequence[str] = ()) -> None:
        """Read the file. Raises: `ConfigurationError` where it is damaged."""
        self._file = file
        self._fixed = [(_digest(key), "environment") for key in fixed]
        self._version: tuple[int, int, int] | None = None
        self._stored: list[tuple[str, str]] = []
        self._was_required = False
        self._refresh()

    @property
    def required(self) -> bool:
        """Whether a key is needed. Once it is, it stays so, also when the last key is revoked."""
        self._refresh()
        return self._was_required

    def check(self, key: str | None) -> str | None:
        """Return the name of a key; None where no key is needed.

        Raises: `Unauthorized` for a missing or wrong key.
        """
        if not self.required:
            return None
        if not key:
            raise Unauthorized("An API key is required: send it as `Authorization: Bearer KEY`.")
        digest = _digest(key)
        # All are compared, so that the time taken does not depend on which one matches.
        keys = (*self._fixed, *self._stored)
        matches = [name for known, name in keys if hmac.compare_digest(known, digest)]
        if not matches:
            raise Unauthorized("The API key is not valid.")
        return matches[0]

    def _refresh(self) -> None:
        version = self._file.version() if self._file is not None else None
        if self._file is not None and version != self._version:
            self._stored = [(record.digest, record.name) for record in self._file.records()]
            self._version = version
        self._was_required = self._was_required or bool(self._fixed or self._stored)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
