"""The banner: an address that can be reached, and examples that work wherever the sample lies."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from hearsay.cli.serve.banner import address, banner_text


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("::1", "http://[::1]:1"),
        ("[::1]", "http://[::1]:1"),
        ("myhost", "http://myhost:1"),
    ],
)
def test_the_address_is_one_that_can_be_reached(host: str, url: str) -> None:
    assert address(host, 1) == url


def test_awkward_paths_are_quoted_in_the_examples() -> None:
    sample = Path('/a b/"q"/é.flac')
    text = banner_text("http://h:1", sample, needs_key=True, model="m", problem="Get one.")
    curl = next(line for line in text.splitlines() if "curl" in line)
    assert f"file=@{sample}" in shlex.split(curl)
    speech, _, python = text.partition("from text to speech:")[2].partition("or in Python")
    script = "\n".join(line.strip() for line in python.splitlines()[1:])
    compile(script, "announcement", "exec")
    assert (
        '"/a b/\\"q\\"/é.flac"' in script
        and 'os.environ["HEARSAY_API_KEY"]' in script
        and "import os" in script
    )
    assert "Nothing is transcribed yet: Get one." in text and "Model:" not in text
    assert "Authorization: Bearer $HEARSAY_API_KEY" in shlex.split(speech)


def test_without_a_key_the_examples_name_none() -> None:
    text = banner_text("http://h:1", Path("a.flac"), needs_key=False, model="m", problem="")
    assert "Authorization" not in text and "HEARSAY_API_KEY" not in text and "import os" not in text
    assert 'api_key="none"' in text
    assert "Model: m\n" in text


def test_every_line_names_the_same_server() -> None:
    text = banner_text("http://h:1", Path("a.flac"), needs_key=False, model="m", problem="")
    assert set(re.findall(r"http://[\w.:]+", text)) == {"http://h:1"}


def test_the_body_of_the_example_is_json() -> None:
    text = banner_text("http://h:1", Path("a.flac"), needs_key=False, model="m", problem="")
    (body,) = re.findall(r"-d '(.*)'", text)
    assert json.loads(body) == {"model": "tts-1", "voice": "alloy", "input": "Hello, and welcome."}
