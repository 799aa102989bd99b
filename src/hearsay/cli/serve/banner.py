"""The banner that the server prints at startup: its address, its model, and example requests.

Knows no socket and no model. The examples work as printed.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path


def banner_text(url: str, sample: Path, *, needs_key: bool, model: str, problem: str) -> str:
    """Return the banner of a server at `url`, with requests that send the recording `sample`.

    `model` is the id of the default model, `problem` says why it cannot serve, or is empty.
    """
    key = '-H "Authorization: Bearer $HEARSAY_API_KEY" ' if needs_key else ""
    secret = 'os.environ["HEARSAY_API_KEY"]' if needs_key else '"none"'
    imports = "import os\n  " if needs_key else ""
    quoted = json.dumps(str(sample), ensure_ascii=False)
    return f"""
Hearsay listens on {url}   (docs: {url}/docs, stop: Ctrl-C)
{f"Nothing is transcribed yet: {problem}" if problem else f"Model: {model}"}

Try it:

  curl {url}/v1/audio/transcriptions {key}-F model=whisper-1 -F file=@{shlex.quote(str(sample))}

from text to speech:

  curl {url}/v1/audio/speech {key}-H "Content-Type: application/json" -o hello.mp3 \\
    -d '{{"model": "tts-1", "voice": "alloy", "input": "Hello, and welcome."}}'

or in Python (pip install openai):

  {imports}from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key={secret})
  print(client.audio.transcriptions.create(model="whisper-1", file=open({quoted}, "rb")).text)
"""


def address(host: str, port: int) -> str:
    """Return the URL of a server that listens on `host`, with a wildcard replaced by loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)
    bracketed = f"[{reachable}]" if ":" in reachable and not reachable.startswith("[") else reachable
    return f"http://{bracketed}:{port}"
