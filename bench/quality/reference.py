"""Answers of other systems: `python -m bench.quality.reference KIND WEIGHTS RECORDINGS ANSWERS.json`.

Knows nothing of Hearsay's code, which need not be installed in the Python that runs it. Kinds: `openai`,
openai/whisper with PyTorch from a CTranslate2 folder; `faster` and `faster-vad`, faster-whisper in float32,
without and with its speech detection. All with beam 5 and the default fallbacks. Answers that the file holds
already are kept, so that an interrupted run goes on.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
"""`language`, and `segments` of `[start, end, text]` in seconds."""

BEAM = 5


def main() -> None:
    """Answer for every recording of a manifest, the short ones first."""
    kind, weights, recordings, answers = sys.argv[1:]
    path, folder = Path(answers), Path(recordings)
    found: dict[str, Answer] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    entries = json.loads((folder / "manifest.json").read_text("utf-8"))
    missing = sorted((e["seconds"], e["file"]) for e in entries if e["file"] not in found)
    if not missing:
        return
    transcribe = {"openai": openai, "faster": faster, "faster-vad": faster_vad}[kind](Path(weights))
    for seconds, file in missing:
        began = time.perf_counter()
        found[file] = transcribe(folder / file)
        path.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n", "utf-8")
        print(f"{file}: {seconds:.0f} s in {time.perf_counter() - began:.1f} s", flush=True)


def openai(weights: Path) -> Callable[[Path], Answer]:
    """Load openai/whisper."""
    model: Any = import_module("fixture.export").whisper_from_ct2(weights)
    read = import_module("fixture.audio").read

    def transcribe(path: Path) -> Answer:
        result = model.transcribe(read(path), beam_size=BEAM, best_of=BEAM, fp16=False)
        segments = [[round(s["start"], 2), round(s["end"], 2), s["text"]] for s in result["segments"]]
        return {"language": result["language"], "segments": segments}

    return transcribe


def faster(weights: Path, **options: Any) -> Callable[[Path], Answer]:
    """Load faster-whisper."""
    model: Any = import_module("faster_whisper").WhisperModel(
        str(weights), device="cpu", compute_type="float32", local_files_only=True
    )

    def transcribe(path: Path) -> Answer:
        segments, info = model.transcribe(str(path), beam_size=BEAM, best_of=BEAM, **options)
        found = [[round(float(s.start), 2), round(float(s.end), 2), s.text] for s in segments]
        return {"language": info.language, "segments": found}

    return transcribe


def faster_vad(weights: Path) -> Callable[[Path], Answer]:
    """Load faster-whisper with its speech detection."""
    return faster(weights, vad_filter=True)


if __name__ == "__main__":
    main()
