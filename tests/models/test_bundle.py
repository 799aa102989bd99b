"""Bundles: written, read again, and refused where they are hostile, damaged or of another model."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from hearsay.domain import ModelCard
from hearsay.engines import registry
from hearsay.errors import ConfigurationError, DownloadFailed, ModelNotInstalled
from hearsay.models import bundle
from hearsay.models.catalogue import Catalogue
from hearsay.models.checksums import MANIFEST
from hearsay.models.hub import Hub
from hearsay.models.partial_folder import Progress, leftovers
from tests.models.test_checksums import make
from tests.models.test_hub import fill_cache
from tests.support.local_hub import toy_model

BASE = "Systran/faster-whisper-base"
TOP = "Systran--faster-whisper-base"
CARD: ModelCard = next(card for card in registry.recognizer_cards() if card.repository == BASE)
FILES = {name: data for name, data in toy_model().items() if name != "README.md"}


def catalogue(folder: Path, local: dict[str, Path] | None = None, cache: Path | None = None) -> Catalogue:
    hub = Hub(allowed=False, cache=cache or folder / "hub")
    return Catalogue(models_folder=folder / "models", local=local, hub=hub)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A bundle of a model that another program has downloaded."""
    fill_cache(tmp_path / "cache", BASE, toy_model())
    catalogue(tmp_path, cache=tmp_path / "cache").export("base", tmp_path / "base.tar")
    return tmp_path / "base.tar"


@pytest.fixture
def there(tmp_path: Path) -> Catalogue:
    """The catalogue of a machine without a network."""
    return catalogue(tmp_path / "there")


def write(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for entry, data in entries:
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def read(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        return [(member, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar]


def test_a_model_comes_whole_to_a_machine_without_a_network(exported: Path, there: Catalogue) -> None:
    told: list[tuple[int, int]] = []
    total = sum(map(len, FILES.values()))
    folder = there.import_bundle(exported, lambda done, total: told.append((done, total)))
    assert folder == there.models_folder / TOP and there.installed(CARD)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert there.check(CARD, thorough=True) == [] and leftovers(folder) == []
    assert told == sorted(told) and told[-1] == (total, total)


def test_exports_report_their_progress_and_are_the_same_twice(exported: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    catalogue(tmp_path, cache=tmp_path / "cache").export(
        "base", tmp_path / "again.tar", lambda done, total: told.append((done, total))
    )
    assert (tmp_path / "again.tar").read_bytes() == exported.read_bytes()
    assert told == sorted(told) and told[-1][0] == told[-1][1]
    assert all((m.uid, m.mtime, m.uname) == (0, 0, "") for m, _ in read(exported))


def test_a_stopped_export_leaves_no_file(exported: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalogue(tmp_path, cache=tmp_path / "cache").export("base", tmp_path / "out" / "half.tar", stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_stopped_import_goes_on(exported: Path, there: Catalogue) -> None:
    def stop(done: int, total: int) -> None:
        if done > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        there.import_bundle(exported, stop)
    assert not there.installed(CARD)
    assert there.import_bundle(exported) == there.models_folder / TOP and there.installed(CARD)


def test_pull_takes_a_bundle_or_a_folder(exported: Path, there: Catalogue, tmp_path: Path) -> None:
    assert there.pull("base", source=exported) == there.models_folder / TOP
    other = catalogue(tmp_path / "other")
    folder = other.pull("base", source=make(tmp_path / "given", toy_model()))
    assert sorted(p.name for p in folder.iterdir()) == sorted([*FILES, MANIFEST]), "only what the model needs"
    with pytest.raises(ConfigurationError, match=f"holds {BASE}, not whisper-small"):
        there.pull("small", source=exported)
    with pytest.raises(ConfigurationError, match=r"model\.bin.* is missing"):
        there.pull("small", source=make(tmp_path / "empty", {"x": b""}))


def test_an_operators_own_model_can_be_carried_too(there: Catalogue, tmp_path: Path) -> None:
    own = {"mine": make(tmp_path / "weights", toy_model() | {".hidden": b"no"})}
    catalogue(tmp_path, own).export("mine", tmp_path / "mine.tar")
    folder = there.import_bundle(tmp_path / "mine.tar")
    assert folder == there.models_folder / "mine"
    assert {path.name for path in folder.iterdir()} == {*toy_model(), MANIFEST}
    again = Catalogue(models_folder=there.models_folder, local={"mine": folder}, hub=Hub(allowed=False))
    assert again.check(again.card("mine"), thorough=True) == []
    make(there.models_folder / "other", {"x": b"theirs"})
    catalogue(tmp_path, {"other": own["mine"]}).export("other", tmp_path / "other.tar")
    with pytest.raises(ConfigurationError, match="there already"):
        there.import_bundle(tmp_path / "other.tar")


def test_what_cannot_be_exported_is_told(there: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(ModelNotInstalled, match="models pull whisper-base"):
        there.export("base", tmp_path / "x.tar")
    with pytest.raises(ConfigurationError, match="part of Hearsay"):
        there.export("espeak-ng", tmp_path / "x.tar")
    make(there.models_folder / TOP, FILES)
    there.refresh()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        there.export("base", tmp_path / "file" / "x.tar")


def test_damaged_weights_are_not_exported(exported: Path, there: Catalogue, tmp_path: Path) -> None:
    (there.import_bundle(exported) / "config.json").write_bytes(b"[]")
    with pytest.raises(DownloadFailed, match="damaged"):
        there.export("base", tmp_path / "x.tar")


def test_every_file_is_checked_on_import(exported: Path, there: Catalogue, tmp_path: Path) -> None:
    entries = [
        (entry, data[:-1] + b"x" if entry.name.endswith("model.bin") else data)
        for entry, data in read(exported)
    ]
    with pytest.raises(DownloadFailed, match=r"model\.bin is not the file it should be"):
        there.import_bundle(write(tmp_path / "damaged.tar", *entries))
    assert not there.installed(CARD)


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        entry("/evil"),
        entry("../evil"),
        entry(f"{TOP}/../../evil"),
        entry(f"{TOP}/a\\..\\evil"),
        entry("evil"),
        entry(f"{TOP}/evil", tarfile.SYMTYPE, "/etc/passwd"),
        entry(f"{TOP}/evil", tarfile.LNKTYPE, "../../evil"),
        entry(f"{TOP}/evil", tarfile.FIFOTYPE),
        entry(f"{TOP}/evil", tarfile.CHRTYPE),
    ],
    ids=lambda hostile: f"{hostile.name} {hostile.type!r}",
)
def test_a_bundle_with_anything_but_plain_files_below_its_folder_is_refused(
    exported: Path, there: Catalogue, tmp_path: Path, hostile: tarfile.TarInfo
) -> None:
    path = write(tmp_path / "hostile.tar", *read(exported), (hostile, b""))
    with pytest.raises(ConfigurationError, match="nothing was imported"):
        there.import_bundle(path)
    assert not there.models_folder.exists() and not list(tmp_path.rglob("evil"))


def test_what_the_manifest_does_not_name_stays_out(exported: Path, there: Catalogue, tmp_path: Path) -> None:
    path = write(tmp_path / "more.tar", *read(exported), (entry(f"{TOP}/more.bin"), b"unchecked"))
    assert not (there.import_bundle(path) / "more.bin").exists()


@pytest.mark.parametrize(
    "files",
    [
        {"model.bin": {"size": 1, "digest": None}},
        {"model.bin": {"size": 1, "digest": "0" * 63}},
        {"model.bin": {"size": 2, "digest": "0" * 64}},
        {"model.bin": {"size": "many", "digest": "0" * 64}},
        {"model.bin": None},
        {"../model.bin": {"size": 1, "digest": "0" * 64}},
        {"none.bin": {"size": 1, "digest": "0" * 64}},
        [],
    ],
)
def test_manifests_that_cannot_be_right_are_refused(there: Catalogue, tmp_path: Path, files: object) -> None:
    manifest = json.dumps({"repository": BASE, "files": files}).encode()
    entries = ((entry(f"{TOP}/{MANIFEST}"), manifest), (entry(f"{TOP}/model.bin"), b"x"))
    with pytest.raises(ConfigurationError):
        there.import_bundle(write(tmp_path / "wrong.tar", *entries))
    assert not there.models_folder.exists()


@pytest.mark.parametrize("content", [b"", b"no archive at all", bytes(10_240)])
def test_what_is_no_bundle_is_told(there: Catalogue, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(ConfigurationError, match="bundle"):
        there.import_bundle(tmp_path / "x.tar")


def test_a_bundle_that_was_cut_off_is_told(exported: Path, there: Catalogue) -> None:
    exported.write_bytes(exported.read_bytes()[:400_000])
    with pytest.raises((ConfigurationError, DownloadFailed)):
        there.import_bundle(exported)
    assert not there.installed(CARD)


def test_gigabytes_are_never_in_memory(tmp_path: Path, there: Catalogue) -> None:
    files = FILES | {"model.bin": FILES["model.bin"] + bytes(30_000_000)}
    make(tmp_path / "models" / TOP, files)
    nothing: Progress = lambda done, total: None  # noqa: E731
    tracemalloc.start()
    try:
        bundle.export(tmp_path / "models" / TOP, TOP, BASE, tmp_path / "base.tar", nothing)
        there.import_bundle(tmp_path / "base.tar")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
