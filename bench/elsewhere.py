"""Libraries that need a Python of their own: `python -m bench.elsewhere KIND WEIGHTS THREADS BEAM`.

Knows nothing of Hearsay's code, which need not be installed there. Reads one question a line from standard
input (`{"path": ..., "language": ...}`) and writes one answer a line (`{"text": ...}`). Kinds: `reference`,
openai/whisper with PyTorch in float32, from a CTranslate2 folder; `genai`, the WhisperPipeline of
openvino-genai, from a folder that `optimum-cli export openvino` made of one in Hugging Face's format.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Hear = Callable[[Path, str | None], str]


def main() -> None:
    """Answer questions until standard input ends."""
    kind, weights, threads, beam = sys.argv[1:]
    transcribe = {"reference": reference, "genai": genai}[kind](Path(weights), int(threads), int(beam))
    for line in sys.stdin:
        question = json.loads(line)
        text = transcribe(Path(question["path"]), question["language"])
        sys.stdout.write(json.dumps({"text": text}) + "\n")
        sys.stdout.flush()


def reference(weights: Path, n_threads: int, beam: int) -> Hear:
    """Load openai/whisper."""
    import_module("torch").set_num_threads(n_threads)
    model: Any = import_module("fixture.export").whisper_from_ct2(weights)
    read = import_module("fixture.audio").read
    temperatures = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

    def transcribe(path: Path, language: str | None) -> str:
        options = {"beam_size": beam, "best_of": 5, "fp16": False, "temperature": temperatures}
        return str(model.transcribe(read(path), language=language, **options)["text"])

    return transcribe


def genai(weights: Path, n_threads: int, beam: int) -> Hear:
    """Load openvino-genai's pipeline."""
    library: Any = import_module("openvino_genai")
    read = import_module("fixture.audio").read
    pipeline = library.WhisperPipeline(str(weights), "CPU", INFERENCE_NUM_THREADS=n_threads)

    def transcribe(path: Path, language: str | None) -> str:
        options: dict[str, Any] = {"num_beams": beam, "task": "transcribe", "return_timestamps": True}
        if language:
            options["language"] = f"<|{language}|>"
        return str(pipeline.generate(read(path), **options).texts[0])

    return transcribe


if __name__ == "__main__":
    main()
