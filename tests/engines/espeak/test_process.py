"""The library in a process of its own, as always: the same audio again, and memory that is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hearsay.engines.espeak import synthesizer as espeak

HEAD = """
import hashlib, json, sys
from hearsay.engines.espeak import process

def synthesize(voice, text, emit=lambda block: True):
    runner.run(json.dumps({"text": text, "voice": voice, "speed": 1.0}).encode(), (), emit)

settings = {"library": sys.argv[1], "data": sys.argv[2]}
"""


def run(program: str) -> list[str]:
    """Run a program after `HEAD` and return the lines that it prints."""
    loader = espeak._loader()
    command = [sys.executable, "-c", HEAD + program, loader.get_library_path(), loader.get_data_path()]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()


def test_says_what_a_machine_without_proc_lacks() -> None:
    program = """
process._DESCRIPTORS = "/nowhere/fd"
runner = process.Espeak(settings)
try:
    synthesize("gmw/de", "Hallo")
except process.RequestFailed as error:
    print(error)
"""
    assert run(program) == ["Voices are read through /nowhere/fd, which is missing; mount /proc."]


def test_a_process_is_spent_when_the_library_has_lost_much_memory() -> None:
    """A second language in a text costs the library its dictionary, which it never frees."""
    program = """
process._LOST_BYTES = 16 << 20
runner = process.Espeak(settings)
for voice, text in (("gmw/en-US", "Good morning."), ("gmw/de", "Guten Tag, 你好")):
    n_utterances = 0
    while n_utterances < 300 and not runner.is_spent:
        synthesize(voice, text)
        n_utterances += 1
    print(n_utterances)
"""
    plain, foreign = map(int, run(program))
    assert plain == 300
    assert 20 < foreign < 200


def test_the_same_text_gives_the_same_audio_whatever_came_before() -> None:
    program = """
runner = process.Espeak(settings)
for voice in ("gmw/de+f2", "gmw/en-US", "gmw/de+f2", "gmw/de+f2"):
    blocks = []
    synthesize(voice, "Guten Morgen, my friend.", lambda block: blocks.append(block) or True)
    print(hashlib.sha256(b"".join(blocks)).hexdigest())
"""
    german, english, *again = run(program)
    assert again == [german, german] != [english, english]


def test_an_utterance_that_was_cut_off_leaves_nothing_behind() -> None:
    program = """
for cut in (False, True):
    runner = process.Espeak(settings)
    if cut:
        synthesize("gmw/en-US", "Cut off in the middle; and here is more. " * 9, lambda block: False)
    blocks = []
    synthesize("gmw/en-US", "One library, two texts.", lambda block: blocks.append(block) or True)
    print(hashlib.sha256(b"".join(blocks)).hexdigest())
"""
    assert len(set(run(program))) == 1


def test_a_listener_that_fails_fails_the_utterance() -> None:
    program = """
def fail(block):
    raise BrokenPipeError("the parent is gone")

runner = process.Espeak(settings)
try:
    synthesize("gmw/en-US", "Hello.", fail)
except BrokenPipeError as error:
    print(error)
"""
    assert run(program) == ["the parent is gone"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("settings | {'library': '/nowhere'}", "/nowhere"),
        ("settings | {'data': '/'}", "cannot read its data"),
    ],
)
def test_says_why_it_cannot_be_loaded(settings: str, reason: str) -> None:
    program = f"""
try:
    process.Espeak({settings})
except process.RequestFailed as error:
    print(error)
"""
    (line,) = run(program)
    assert reason in line
