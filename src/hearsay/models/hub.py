"""The model hub: whether it answers, what is in its cache on this machine, and downloads from it.

Knows repositories and folders, not models. Source: the HTTP interface of huggingface.co
(`api/models/ID?blobs=true` names sizes and checksums, `ID/resolve/REVISION/FILE` sends bytes). Files are
fetched here, in ranges, because the hub's library (2.4) deletes a partial file when it is interrupted, and a
download must go on where it stopped.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hearsay import __version__
from hearsay.engines.engine_spec import FileSelection
from hearsay.errors import DownloadFailed
from hearsay.models.checksums import Expected, is_intact
from hearsay.models.partial_folder import (
    BLOCK,
    PARTIAL,
    Contents,
    Progress,
    check_space,
    finish,
    is_storable,
    open_target,
    storing,
)

if TYPE_CHECKING:
    import httpx

PROBE_SECONDS = 3.0
"""How long the hub may take to answer before `auto` gives up on it."""

_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_OFF = {"off", "0", "false", "no"}
SWITCHED_OFF = "Downloads are switched off (--offline, HEARSAY_DOWNLOADS=off or HF_HUB_OFFLINE=1)."

_ATTEMPTS = 5
_READ_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub, and whether it may be used."""

    endpoint: str | None = None
    """Its address; None for that of `HF_ENDPOINT`, else the public hub's."""
    allowed: bool = True
    """Whether it may be asked anything at all."""
    cache: Path | None = None
    """The hub library's cache on this machine; None for that library's default."""

    def address(self) -> str:
        """Return the endpoint without a slash at its end."""
        from huggingface_hub import constants

        return (self.endpoint or constants.ENDPOINT).rstrip("/")

    def closed(self) -> bool:
        """Return whether nothing may be asked: by choice, or because the environment forbids the public hub.

        The latter is for code that reads no settings, tests above all.
        """
        return not self.allowed or (self.endpoint is None and forbidden_by_environment())

    def problem(self, timeout: float = PROBE_SECONDS) -> str | None:
        """Return in a sentence why the hub cannot be used; None where it answers within `timeout` seconds."""
        if self.closed():
            return SWITCHED_OFF
        address, found = self.address(), Future[str | None]()
        try:
            client = _client(timeout=timeout)  # which reads certificates, and that is not the hub's time
        except DownloadFailed as error:
            return error.message

        def ask() -> None:
            try:
                found.set_result(_unreachable(client, address))
            except BaseException as error:
                found.set_exception(error)

        # The library's limits hold for each step, and none for the resolver; the caller's is for all of it.
        threading.Thread(target=ask, name="probe", daemon=True).start()
        try:
            return found.result(timeout)
        except TimeoutError:
            return f"{address} does not answer within {timeout:g} seconds."

    def cached(self, repository: str, wanted: FileSelection) -> Path | None:
        """Find a complete snapshot of a repository in the hub library's cache; None where there is none."""
        from huggingface_hub import constants, try_to_load_from_cache

        # Most repositories are not there, which the library takes twenty times as long to find out.
        if not Path(self.cache or constants.HF_HUB_CACHE, _folder_name(repository)).is_dir():
            return None
        landmark = wanted.landmark
        found = landmark and try_to_load_from_cache(repository, landmark, cache_dir=self.cache)
        if not isinstance(found, str) or landmark is None:
            return None
        folder = Path(found).parents[landmark.count("/")]
        return folder if _is_complete(folder, wanted) else None

    def download(
        self,
        repository: str,
        folder: Path,
        wanted: FileSelection,
        progress: Progress = lambda done, total: None,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Download and verify files of a repository, going on where an earlier attempt stopped.

        The folder gets its name when it is complete; in one that exists already, damaged files are replaced.
        Raises: `DownloadFailed`; what has arrived by then stays for the next attempt.
        """
        import httpx
        from huggingface_hub import get_token

        if self.closed():
            raise DownloadFailed(f"{repository} was not downloaded. {self.problem()}")
        headers = {"User-Agent": f"hearsay/{__version__}", "Accept-Encoding": "identity"}
        if token := get_token():
            headers["Authorization"] = f"Bearer {token}"
        with _client(timeout=_READ_SECONDS, follow_redirects=True, headers=headers) as client:
            try:
                with storing(repository, folder):
                    _Download(client, self.address(), repository, wanted, pause).into(folder, progress)
            except httpx.HTTPStatusError as error:
                raise DownloadFailed(_refusal(repository, error.response.status_code)) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise DownloadFailed(
                    f"{repository} could not be downloaded from {self.address()} "
                    f"({type(error).__name__}: {error}). What has arrived is kept; try again to go on."
                ) from error


@dataclass(frozen=True, slots=True)
class _Download:
    client: httpx.Client
    address: str
    repository: str
    wanted: FileSelection
    pause: Callable[[float], None]

    def into(self, folder: Path, progress: Progress) -> None:
        revision, files = self._listing()
        target = open_target(folder)
        missing = [file for file in files if not is_intact(target / file.name, file)]
        total = sum(file.size or 0 for file in files)
        done = total - sum(file.size or 0 for file in missing)
        here = sum(path.stat().st_size for path in target.rglob(f"*{PARTIAL}"))
        check_space(target, total - done - here)
        for file in missing:
            arrived = done

            def report(n_bytes: int, arrived: int = arrived) -> None:
                progress(arrived + n_bytes, total)

            self._fetch_verified(revision, file, target, report)
            done += file.size or 0
        progress(total, total)
        finish(target, folder, Contents(self.repository, self.repository, revision, files))

    def _listing(self) -> tuple[str, list[Expected]]:
        answer = self.client.get(f"{self.address}/api/models/{self.repository}", params={"blobs": "true"})
        answer.raise_for_status()
        try:
            data = answer.json()
            revision = str(data["sha"])
            siblings = [sib for sib in data["siblings"] if self.wanted.wants(str(sib["rfilename"]))]
            files = [_expected(sibling) for sibling in siblings]
        except (ValueError, KeyError, TypeError) as error:
            raise DownloadFailed(f"{self.address} does not answer like a model hub ({error!r}).") from error
        unsafe = next((file.name for file in files if not is_storable(file.name)), None)
        if unsafe is not None:
            raise DownloadFailed(f"{self.repository} names a file that may not be stored: {unsafe!r}.")
        if lacking := self.wanted.lacking(file.name for file in files):
            names = ", ".join(lacking)
            raise DownloadFailed(f"{self.repository} holds no {self.wanted.what}: {names} is missing.")
        return revision, files

    def _fetch_verified(
        self, revision: str, file: Expected, target: Path, report: Callable[[int], None]
    ) -> None:
        url = f"{self.address}/{self.repository}/resolve/{revision}/{quote(file.name)}"
        partial = target / f"{file.name}{PARTIAL}"
        partial.parent.mkdir(parents=True, exist_ok=True)
        resumed = partial.exists() and partial.stat().st_size > 0
        # What was resumed may belong to another revision, so there is a second attempt from the start.
        for _ in range(2 if resumed else 1):
            self._fetch(url, partial, report)
            if is_intact(partial, file):
                partial.replace(target / file.name)
                return
            partial.unlink()
        raise DownloadFailed(
            f"{file.name} of {self.repository} arrived damaged (wrong checksum) and was deleted; try again."
        )

    def _fetch(self, url: str, partial: Path, report: Callable[[int], None]) -> None:
        """Fetch until a file has its size; fail after five attempts in a row that brought nothing."""
        import httpx

        failures = 0
        while failures < _ATTEMPTS:
            before = partial.stat().st_size if partial.exists() else 0
            try:
                self._fetch_some(url, partial, before, report)
            except httpx.TransportError:
                failures = 0 if partial.exists() and partial.stat().st_size > before else failures + 1
                if failures == _ATTEMPTS:
                    raise
                self.pause(min(2.0**failures, 30.0))
                continue
            return

    def _fetch_some(self, url: str, partial: Path, begin: int, report: Callable[[int], None]) -> None:
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        with self.client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == 416:
                return  # nothing is left to send: complete, or too long; the checksum will tell
            answer.raise_for_status()
            begin = begin if answer.status_code == 206 else 0
            with partial.open("ab" if begin else "wb") as out:
                for block in answer.iter_bytes(BLOCK):
                    out.write(block)
                    begin += len(block)
                    report(begin)


def forbidden_by_environment() -> bool:
    """Return whether the environment forbids downloads, to code that reads no settings."""
    return os.environ.get("HEARSAY_DOWNLOADS", "").lower() in _OFF


def _unreachable(client: httpx.Client, address: str) -> str | None:
    """Return in a sentence why an address cannot be used; None where it answers."""
    import httpx

    try:
        with client:
            answer = client.head(f"{address}/api/models", params={"limit": 1})
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return f"{address} does not answer ({type(error).__name__})."
    return None if answer.status_code < 500 else f"{address} answers {answer.status_code}."


def _client(**wanted: Any) -> httpx.Client:
    """Return a client. Raises: `DownloadFailed` for proxies or certificates that cannot be used."""
    import httpx

    try:
        return httpx.Client(verify=_certificates(), **wanted)
    except OSError as error:
        raise DownloadFailed(
            f"The certificates of the environment ({', '.join(_CERTIFICATES)}) cannot be read: {error}"
        ) from error
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise DownloadFailed(
            f"The proxy that the environment names (HTTPS_PROXY, ALL_PROXY) cannot be used: {error}"
        ) from error


def _certificates() -> ssl.SSLContext | bool:
    """Return what servers are checked with: `REQUESTS_CA_BUNDLE`, else what httpx takes (`SSL_CERT_FILE`)."""
    path = os.environ.get("REQUESTS_CA_BUNDLE")
    if not path:
        return True
    is_folder = Path(path).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)


def _folder_name(repository: str) -> str:
    """Return the name of a repository's folder in the hub library's cache."""
    from huggingface_hub.file_download import repo_folder_name

    return repo_folder_name(repo_id=repository, repo_type="model")


def _is_complete(folder: Path, wanted: FileSelection) -> bool:
    """Return whether all that is required is there, as far as that can be told without asking the hub."""
    if wanted.has_open_folders and any((folder.parents[1] / "blobs").glob("*.incomplete")):
        return False
    return not wanted.lacking(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _expected(sibling: dict[str, Any]) -> Expected:
    """Parse one file of the hub's listing: large files carry a SHA-256, small ones git's id."""
    large = sibling.get("lfs")
    size, digest = (large["size"], large["sha256"]) if large else (sibling["size"], sibling["blobId"])
    return Expected(str(sibling["rfilename"]), int(size), str(digest))


def _refusal(repository: str, status: int) -> str:
    if status in {401, 403}:
        return f"The hub does not give {repository} to everyone ({status}); set HF_TOKEN to a token that may."
    if status == 404:
        return f"The hub has no repository {repository}."
    return f"The hub answers {status} for {repository}; try again later."


def progress_lines(label: str, write: Callable[[str], None]) -> Progress:
    """Return a progress callback that writes a line for every tenth that has arrived."""
    written = -1

    def progress(done: int, total: int) -> None:
        nonlocal written
        percent = 10 * (10 * done // total) if total else 100
        if percent > written:
            written = percent
            write(f"{label}: {percent} % of {total / 1e6:.0f} MB")

    return progress
