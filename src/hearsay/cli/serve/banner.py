"""The banner that the server prints at startup: its address, its model, and example requests.

Knows no socket and no model. The examples work as printed.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Banner:
    """The facts of the banner."""

    url: str
    """Such as `http://127.0.0.1:8000`."""
    sample: Path
    """The recording of the example requests."""
    needs_key: bool
    model: str
    """Id of the default model."""
    upgrade_hint: str | None = None
    """How to get a better model."""

    def text(self) -> str:
        """Return the banner's text."""
        key = '-H "Authorization: Bearer $HEARSAY_API_KEY" ' if self.needs_key else ""
        secret = 'os.environ["HEARSAY_API_KEY"]' if self.needs_key else '"none"'
        imports = "import os\n  " if self.needs_key else ""
        sample = json.dumps(str(self.sample), ensure_ascii=False)
        return f"""
Hearsay listens on {self.url}   (docs: {self.url}/docs, stop: Ctrl-C)
Model: {self.model}{f". {self.upgrade_hint}" if self.upgrade_hint else ""}

Try it:

  curl {self.url}/v1/audio/transcriptions {key}-F model=whisper-1 -F file=@{shlex.quote(str(self.sample))}

from text to speech:

  curl {self.url}/v1/audio/speech {key}-H "Content-Type: application/json" -o hello.mp3 \\
    -d '{{"model": "tts-1", "voice": "alloy", "input": "Hello, and welcome."}}'

or in Python (pip install openai):

  {imports}from openai import OpenAI
  client = OpenAI(base_url="{self.url}/v1", api_key={secret})
  print(client.audio.transcriptions.create(model="whisper-1", file=open({sample}, "rb")).text)
"""


def address(host: str, port: int) -> str:
    """Return the URL of a server that listens on `host`, with a wildcard replaced by loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)
    bracketed = f"[{reachable}]" if ":" in reachable and not reachable.startswith("[") else reachable
    return f"http://{bracketed}:{port}"
