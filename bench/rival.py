"""The design of most self-hosted speech servers: FastAPI, one faster-whisper, one lock around it.

Knows nothing of Hearsay's code; exists to be measured against. `python -m bench.rival WEIGHTS --port N`.
Uploads are answered in the thread pool, so that /health stays responsive; the model does one at a time.
"""

from __future__ import annotations

import argparse
import io
import threading
from typing import Annotated

import faster_whisper
import uvicorn
from fastapi import FastAPI, File, Form


def main() -> None:
    """Load the model, then serve until ended."""
    options = _options()
    uvicorn.run(application(options), host="127.0.0.1", port=options.port, log_level="warning")


def application(options: argparse.Namespace) -> FastAPI:
    """Return the app around one loaded model."""
    model = faster_whisper.WhisperModel(
        options.weights,
        device="cpu",
        compute_type=options.compute_type,
        cpu_threads=options.threads,
        local_files_only=True,
    )
    lock = threading.Lock()
    app = FastAPI()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/audio/transcriptions")
    def transcribe(
        file: Annotated[bytes, File()], language: Annotated[str | None, Form()] = None
    ) -> dict[str, str]:
        with lock:
            segments, _ = model.transcribe(io.BytesIO(file), language=language, beam_size=options.beam)
            return {"text": "".join(segment.text for segment in segments).strip()}

    return app


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", help="folder of a model in CTranslate2's format")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compute-type", default="int8")
    return parser.parse_args()


if __name__ == "__main__":
    main()
