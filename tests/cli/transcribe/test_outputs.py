"""Outputs: formats and what they hold, and names that never meet."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest

from hearsay.cli.transcribe.inputs import Source, collect
from hearsay.cli.transcribe.outputs import (
    Format,
    existing,
    name_outputs,
    parse_formats,
    render,
    with_format,
)
from hearsay.domain import Segment, Task, Transcript, Word


def test_parse_formats() -> None:
    assert parse_formats([]) == (Format.TXT,)
    assert parse_formats(["srt,json", "srt", " .VTT"]) == (Format.SRT, Format.JSON, Format.VTT)
    with pytest.raises(ValueError, match="pdf"):
        parse_formats(["txt,pdf"])


def test_render_of_a_text_without_times() -> None:
    transcript = Transcript("All of it.", (), None, 3.0, Task.TRANSCRIBE, "m")
    assert render(transcript, Format.TXT) == "All of it.\n"
    body = json.loads(render(transcript, Format.JSON))
    assert (body["language"], body["segments"], body["text"]) == (None, [], "All of it.")


def test_render_leaves_unknown_numbers_null() -> None:
    segment = Segment(0.0004, 1.23456, " a", words=(Word(0.0004, 1.0, " a", 0.98765),))
    body = json.loads(
        render(Transcript("a", (segment,), "en", 2.0, Task.TRANSCRIBE, "m"), Format.JSON, words=True)
    )
    assert (body["segments"][0]["end"], body["segments"][0]["avg_logprob"]) == (1.235, None)
    assert body["words"] == [{"word": "a", "start": 0.0, "end": 1.0, "probability": 0.9877}]


def test_names_never_collide() -> None:
    sources = collect(["a.mp3", "a.wav", "a.mp3.ogg", "d/a.mp3", "a.wav"], recursive=False)
    assert len(sources) == 4  # a repeat is dropped
    stems = name_outputs(sources, Path("out"))
    assert len({str(stem).casefold() for stem in stems.values()}) == 4


def named(*arguments: str, folder: Path | None = None) -> list[str]:
    sources = collect(arguments, recursive=False)
    return [path.as_posix() for path in name_outputs(sources, folder).values()]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["talk.mp3"], ["talk"]),
        (["a.mp3", "b.mp3"], ["a", "b"]),
        (["a.mp3", "a.wav"], ["a.mp3", "a.wav"]),
        (["a.mp3", "A.wav"], ["a.mp3", "A.wav"]),
        (["a.mp3", "x/a.wav"], ["a", "x/a"]),
        (["x.y/talk.one.mp3"], ["x.y/talk.one"]),
        ([".mp3"], [".mp3"]),
    ],
)
def test_outputs_lie_beside_their_recordings(arguments: list[str], expected: list[str]) -> None:
    assert named(*arguments) == expected


def test_in_one_folder_a_number_tells_equal_names_apart() -> None:
    assert named("a/talk.mp3", "b/talk.mp3", folder=Path("out")) == ["out/talk.mp3", "out/talk.mp3-2"]


def test_below_a_folder_the_structure_stays() -> None:
    source = Source("in/x/a.mp3", Path("in/x/a.mp3"), None, PurePosixPath("x/a.mp3"))
    assert name_outputs([source], Path("out")) == {source: Path("out/x/a")}
    assert name_outputs([source], None) == {source: Path("in/x/a")}


def test_a_format_is_added_to_names_with_dots() -> None:
    assert with_format(Path("d.e/a.b"), Format.SRT) == Path("d.e/a.b.srt")


def test_existing_outputs_are_found(tmp_path: Path) -> None:
    there = tmp_path / "a.txt"
    there.write_text("old")
    assert existing([there, tmp_path / "b.txt"]) == [there]


@pytest.mark.parametrize(("kind", "timed"), [("txt", False), ("json", False), ("srt", True), ("vtt", True)])
def test_subtitles_need_times(kind: str, timed: bool) -> None:
    assert Format(kind).timed is timed


@pytest.mark.parametrize("kind", list(Format))
def test_every_format_has_the_text_and_ends_a_line(kind: Format) -> None:
    segments = Segment(0.0, 1.0, " Hello."), Segment(1.0, 2.0, " So.")
    text = render(Transcript("Hello. So.", segments, "en", 2.0, Task.TRANSCRIBE, "m"), kind)
    assert text.endswith("\n")
    assert "Hello." in text and "So." in text
