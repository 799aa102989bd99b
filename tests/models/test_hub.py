"""Pulling from a hub: progress, going on after interruptions, damage, refusals; all on this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearsay.engines.engine_spec import FileSelection
from hearsay.engines.onnx_tts.spec import ONNX_TTS
from hearsay.engines.whisper.spec import CONVERTED
from hearsay.errors import DownloadFailed
from hearsay.models.checksums import MANIFEST, Checks
from hearsay.models.hub import Hub
from hearsay.models.partial_folder import PARTIAL, Progress
from tests.support.local_hub import REVISION, LocalHub, serving, toy_model

REPOSITORY = "Somebody/faster-whisper-toy"


@pytest.fixture
def local() -> Iterator[LocalHub]:
    with serving(LocalHub({REPOSITORY: toy_model()})) as hub:
        yield hub


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "toy"


def pull(local: LocalHub, folder: Path) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    Hub(endpoint=local.address).download(
        REPOSITORY,
        folder,
        CONVERTED,
        lambda done, total: told.append((done, total)),
        pause=lambda seconds: None,
    )
    return told


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def wanted() -> dict[str, bytes]:
    return {name: data for name, data in toy_model().items() if name != "README.md"}


def test_fetches_what_a_model_needs_and_nothing_else(local: LocalHub, folder: Path) -> None:
    told = pull(local, folder)
    assert contents(folder) == wanted()
    assert json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["revision"] == REVISION
    total = sum(map(len, wanted().values()))
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 5 and {size for _, size in told} == {total}


def test_goes_on_within_a_pull_when_the_connection_breaks(local: LocalHub, folder: Path) -> None:
    local.break_after = 300_000
    pull(local, folder)
    assert contents(folder) == wanted()
    first, second = local.ranges()
    assert first is None and second is not None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 300_000


def test_goes_on_where_a_stopped_pull_was(local: LocalHub, folder: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 400_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Hub(endpoint=local.address).download(REPOSITORY, folder, CONVERTED, stop)
    assert not folder.exists()
    half = folder.with_name("toy.part") / f"model.bin{PARTIAL}"
    n_bytes = half.stat().st_size
    assert n_bytes > 300_000
    told = pull(local, folder)
    assert local.ranges() == [None, f"bytes={n_bytes}-"]
    assert told[0][0] >= n_bytes
    assert contents(folder) == wanted()
    assert not folder.with_name("toy.part").exists()


def test_gives_up_when_nothing_comes_but_keeps_what_came(local: LocalHub, folder: Path) -> None:
    local.break_after = 300_000
    local.broken_answers = 0

    def then_nothing(done: int, total: int) -> None:
        local.broken_answers = 1000

    hub = Hub(endpoint=local.address)
    pauses: list[float] = []
    with pytest.raises(DownloadFailed, match="try again to go on"):
        hub.download(REPOSITORY, folder, CONVERTED, then_nothing, pause=pauses.append)
    assert len(pauses) >= 4 and pauses == sorted(pauses)
    local.broken_answers = 0
    pull(local, folder)
    assert contents(folder) == wanted()


def test_starts_over_where_ranges_are_ignored(local: LocalHub, folder: Path) -> None:
    local.break_after, local.ignore_ranges = 300_000, True
    pull(local, folder)
    assert contents(folder) == wanted()


def test_a_file_that_arrives_damaged_is_not_kept(local: LocalHub, folder: Path) -> None:
    local.corrupt.add("model.bin")
    with pytest.raises(DownloadFailed, match=r"model\.bin .* damaged"):
        pull(local, folder)
    assert not folder.exists()
    assert not list(folder.parent.glob(f"**/model.bin{PARTIAL}"))
    local.corrupt.clear()
    pull(local, folder)
    assert contents(folder) == wanted()


@pytest.mark.parametrize("rest", [b"wrong start", b"x" * 900_000])
def test_a_wrong_beginning_is_thrown_away(local: LocalHub, folder: Path, rest: bytes) -> None:
    part = folder.with_name("toy.part")
    part.mkdir(parents=True)
    (part / f"model.bin{PARTIAL}").write_bytes(rest)
    pull(local, folder)
    assert contents(folder) == wanted()


def test_a_complete_but_unverified_file_is_not_fetched_again(local: LocalHub, folder: Path) -> None:
    part = folder.with_name("toy.part")
    part.mkdir(parents=True)
    (part / f"model.bin{PARTIAL}").write_bytes(toy_model()["model.bin"])
    pull(local, folder)
    assert local.ranges() == [f"bytes={len(toy_model()['model.bin'])}-"]
    assert contents(folder) == wanted()


def test_only_what_is_damaged_is_fetched_again(local: LocalHub, folder: Path) -> None:
    pull(local, folder)
    (folder / "vocabulary.json").write_bytes(b"[]")
    (folder / "config.json").unlink()
    local.requests.clear()
    pull(local, folder)
    assert contents(folder) == wanted()
    fetched = [path.rpartition("/")[2] for _, path, _ in local.requests if "resolve" in path]
    assert sorted(fetched) == ["config.json", "vocabulary.json"]


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "no repository"), (401, "HF_TOKEN"), (403, "HF_TOKEN"), (500, "answers 500")],
)
def test_refusals_are_explained(local: LocalHub, folder: Path, status: int, message: str) -> None:
    local.status = status
    with pytest.raises(DownloadFailed, match=message):
        pull(local, folder)


def test_the_token_goes_to_the_hub_but_not_to_where_it_sends_us(
    local: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    local.token = "hf_secret"
    with serving(LocalHub(local.files)) as content:
        local.redirect_to = content.address
        pull(local, folder)
    assert contents(folder) == wanted()
    assert content.requests and all("authorization" not in headers for _, _, headers in content.requests)


def test_what_is_no_model_repository_is_refused(local: LocalHub, folder: Path) -> None:
    del local.files[REPOSITORY]["model.bin"]
    with pytest.raises(DownloadFailed, match=r"model\.bin is missing"):
        pull(local, folder)


def test_names_that_leave_the_folder_are_not_fetched(local: LocalHub, folder: Path) -> None:
    local.files[REPOSITORY]["../vocabulary.json"] = b"evil"
    pull(local, folder)
    assert contents(folder) == wanted()


def test_a_server_that_is_no_hub_is_named(folder: Path) -> None:
    with serving(LocalHub({})) as other:
        other.files = {}
        other.status = 200
        with pytest.raises(DownloadFailed, match="does not answer like a model hub"):
            pull(other, folder)


def test_a_folder_that_cannot_be_written_is_named(local: LocalHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(DownloadFailed, match="could not be stored in"):
        pull(local, tmp_path / "file" / "toy")


def test_nothing_is_asked_where_downloads_are_off(local: LocalHub, folder: Path) -> None:
    hub = Hub(endpoint=local.address, allowed=False)
    with pytest.raises(DownloadFailed, match="switched off"):
        hub.download(REPOSITORY, folder, CONVERTED)
    assert "switched off" in (hub.problem() or "")
    assert local.requests == []


def test_the_environment_alone_keeps_everybody_off_the_public_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("socket.getaddrinfo", fail)
    for value in ("off", "0", "False"):
        monkeypatch.setenv("HEARSAY_DOWNLOADS", value)
        assert "switched off" in (Hub().problem() or "")
        with pytest.raises(DownloadFailed, match="switched off"):
            Hub().download(REPOSITORY, folder, CONVERTED)


def test_no_test_reaches_another_machine() -> None:
    with socket.socket() as out, pytest.raises(pytest.fail.Exception, match=r"tried to reach 192\.0\.2\.1"):
        out.connect(("192.0.2.1", 443))


def test_the_probe_tells_whether_the_hub_answers(local: LocalHub) -> None:
    assert Hub(endpoint=local.address).problem() is None
    local.status = 503
    assert "503" in (Hub(endpoint=local.address).problem() or "")
    assert "does not answer" in (Hub(endpoint="http://127.0.0.1:9").problem() or "")
    assert "does not answer" in (Hub(endpoint="http://[broken").problem() or "")


def test_the_probe_gives_up_in_time_also_where_names_are_not_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    def hang(*args: object, **more: object) -> list[object]:
        released.wait(30)
        raise socket.gaierror("no name server")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    begun = time.monotonic()
    try:
        problem = Hub(endpoint="http://hub.invalid").problem(timeout=0.2)
    finally:
        released.set()
    assert problem == "http://hub.invalid does not answer within 0.2 seconds."
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "socks://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_a_reason_and_no_accident(
    folder: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("all_proxy", proxy)
    hub = Hub(endpoint="http://hub.invalid")
    assert "proxy" in (hub.problem() or "")
    with pytest.raises(DownloadFailed, match="proxy"):
        hub.download(REPOSITORY, folder, CONVERTED)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificates_of_a_company_are_those_of_the_environment(
    local: LocalHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with serving(LocalHub(local.files), certificate=certificate, key=key) as secure:
        assert "does not answer" in (Hub(secure.address).problem() or "")
        monkeypatch.setenv(variable, str(certificate))
        assert Hub(secure.address).problem() is None
        pull(secure, folder)
    assert contents(folder) == wanted()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that is signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hub"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_certificates_that_cannot_be_read_are_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    assert "REQUESTS_CA_BUNDLE" in (Hub("https://hub.invalid").problem() or "")
    with pytest.raises(DownloadFailed, match="cannot be read"):
        Hub("https://hub.invalid").download(REPOSITORY, folder, CONVERTED)


def test_finds_what_other_programs_left_in_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    assert Hub(cache=cache).cached(REPOSITORY, CONVERTED) is None
    snapshot = fill_cache(cache, REPOSITORY, toy_model())
    assert Hub(cache=cache).cached(REPOSITORY, CONVERTED) == snapshot
    (snapshot / "vocabulary.json").unlink()
    assert Hub(cache=cache).cached(REPOSITORY, CONVERTED) is None


def fill_cache(cache: Path, repository: str, files: dict[str, bytes]) -> Path:
    """Lay files out as the hub's library does: blobs named by checksum, a snapshot of links, a ref."""
    from tests.support.local_hub import listing

    root = cache / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / REVISION
    for path in (root / "blobs", root / "refs", snapshot):
        path.mkdir(parents=True)
    (root / "refs" / "main").write_text(REVISION, encoding="ascii")
    for sibling in listing(repository, files)["siblings"]:
        digest = sibling.get("lfs", {}).get("sha256", sibling["blobId"])
        (root / "blobs" / digest).write_bytes(files[sibling["rfilename"]])
        link = snapshot / sibling["rfilename"]
        link.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (2 + sibling["rfilename"].count("/"))
        link.symlink_to(Path(f"{up}blobs") / digest)
    return snapshot


# Voices: files in sub-folders

SPEAKER = "Somebody/voice-toy"
VOICE = FileSelection(("*.onnx", "tokens.txt", "data/*"), ("model.onnx", "tokens.txt", "data/*"), "voice")


def voice_damage(folder: Path) -> list[str]:
    files = ONNX_TTS.files
    assert files is not None
    return list(files.damage(folder))


def toy_voice() -> dict[str, bytes]:
    return {
        "model.onnx": bytes(300_000),
        "tokens.txt": b"a 1",
        "data/phontab": bytes(range(256)) * 10,
        "data/lang/gmw/en": b"name English",
        "data/voices/!v/Mr serious": b"x",
        "README.md": b"# not wanted",
        "test_wavs/0.wav": b"not wanted",
    }


def pull_voice(local: LocalHub, folder: Path, progress: Progress = lambda done, total: None) -> None:
    Hub(endpoint=local.address).download(SPEAKER, folder, VOICE, progress, pause=lambda seconds: None)


def below(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_fetches_folders_and_checks_all_that_is_in_them(local: LocalHub, folder: Path) -> None:
    local.files[SPEAKER] = toy_voice()
    pull_voice(local, folder)
    wanted = {name: data for name, data in toy_voice().items() if VOICE.wants(name)}
    assert below(folder) == wanted and len(wanted) == 5
    checks = Checks(folder.parent / "checked.json")
    assert checks.damaged(folder, voice_damage) == []
    (folder / "data" / "lang" / "gmw" / "en").unlink()
    (folder / "data" / "phontab").write_bytes(bytes(2560))
    problems = checks.damaged(folder, voice_damage)
    assert len(problems) == 2 and all("data/" in problem for problem in problems)
    pull_voice(local, folder)
    assert below(folder) == wanted
    assert local.ranges("model.onnx") == [None]


def test_goes_on_within_a_folder(local: LocalHub, folder: Path) -> None:
    local.files[SPEAKER] = toy_voice() | {"data/model.bin": bytes(600_000)}

    def stop(done: int, total: int) -> None:
        if list(folder.parent.rglob(f"data/model.bin{PARTIAL}")) and done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull_voice(local, folder, stop)
    pull_voice(local, folder)
    first, second = local.ranges("model.bin")
    assert first is None and second is not None
    assert below(folder)["data/model.bin"] == bytes(600_000)


@pytest.mark.parametrize(
    "name", ["data/../../../evil", "data/..", "data//x", "data/a\\..\\b", "data/C:x", f"data/x{PARTIAL}"]
)
def test_no_file_may_leave_the_folder_or_pass_for_another(local: LocalHub, folder: Path, name: str) -> None:
    local.files[SPEAKER] = toy_voice() | {name: b"evil"}
    with pytest.raises(DownloadFailed, match="may not be stored"):
        pull_voice(local, folder)
    assert not folder.parent.exists() or not list(folder.parent.rglob("*evil*"))


def test_a_file_of_ours_is_not_replaced_by_one_of_theirs(local: LocalHub, folder: Path) -> None:
    local.files[SPEAKER] = toy_voice() | {f"data/{MANIFEST}": b"{}"}
    with pytest.raises(DownloadFailed, match="may not be stored"):
        pull_voice(local, folder)


def test_a_repository_without_a_voice_is_told(local: LocalHub, folder: Path) -> None:
    local.files[SPEAKER] = {"model.onnx": b"", "tokens.txt": b""}
    with pytest.raises(DownloadFailed, match=r"holds no voice: data/\* is missing"):
        pull_voice(local, folder)


def test_a_voice_in_the_hubs_cache_counts_once_it_is_complete(tmp_path: Path) -> None:
    hub = Hub(allowed=False, cache=tmp_path)
    assert hub.cached(SPEAKER, VOICE) is None
    snapshot = fill_cache(tmp_path, SPEAKER, toy_voice())
    assert hub.cached(SPEAKER, VOICE) == snapshot
    checks = Checks(tmp_path / "checked.json")
    assert [p for p in checks.damaged(snapshot, voice_damage, thorough=True) if "data/" in p] == []
    blobs = snapshot.parents[1] / "blobs"
    (blobs / "abc.incomplete").write_bytes(b"")
    assert hub.cached(SPEAKER, VOICE) is None
    (blobs / "abc.incomplete").unlink()
    for file in sorted((snapshot / "data").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert hub.cached(SPEAKER, VOICE) is None


def test_a_landmark_may_be_in_a_folder(tmp_path: Path) -> None:
    wanted = FileSelection(("onnx/model.onnx",), ("onnx/model.onnx",), "voice")
    snapshot = fill_cache(tmp_path, SPEAKER, {"onnx/model.onnx": b"x"})
    assert Hub(allowed=False, cache=tmp_path).cached(SPEAKER, wanted) == snapshot
