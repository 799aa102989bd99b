"""Transcript files: formats, rendering, and names that never collide.

Knows neither engines nor the terminal. The JSON has every key of the API's `verbose_json`, and more.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from hearsay.cli.transcribe.inputs import Source
from hearsay.dialects.rendering import NEUTRAL, render_quality, render_report, render_segment, render_word
from hearsay.domain import Segment, Transcript, Word
from hearsay.text import languages
from hearsay.transcripts import subtitles


class Format(StrEnum):
    """The formats of a transcript; the value is also the file's suffix."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"

    @property
    def timed(self) -> bool:
        """Whether the format requires times."""
        return self in (Format.SRT, Format.VTT)


def parse_formats(texts: Sequence[str]) -> tuple[Format, ...]:
    """Parse repeated and comma-separated names. Raises: ValueError for an unknown one."""
    names = [name.strip().lower().lstrip(".") for text in texts for name in text.split(",")]
    return tuple(dict.fromkeys(Format(name) for name in names if name)) or (Format.TXT,)


def render(transcript: Transcript, kind: Format, *, words: bool = False) -> str:
    """Return a transcript in one format, with a newline at its end."""
    if kind is Format.SRT:
        return subtitles.srt(transcript.segments)
    if kind is Format.VTT:
        return subtitles.vtt(transcript.segments)
    if kind is Format.JSON:
        return json.dumps(_verbose(transcript, words), ensure_ascii=False, indent=2) + "\n"
    untimed = [Segment(0.0, transcript.duration, transcript.text)]  # a server that gave no times
    return subtitles.plain(transcript.segments or untimed)


def _verbose(transcript: Transcript, words: bool) -> dict[str, Any]:
    code = transcript.language
    body: dict[str, Any] = {
        "task": transcript.task.value,
        "language": languages.name(code) if code else None,
        "language_code": code,
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "segments": [_segment(number, segment) for number, segment in enumerate(transcript.segments)],
        "model": transcript.model,
        "warnings": list(transcript.warnings),
        "quality": render_quality(transcript.segments),
        "report": None if transcript.report is None else render_report(transcript.report),
    }
    if words:
        body["words"] = [_word(word) for word in transcript.words]
    return body


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """Return a segment as the API has it, but with null for numbers that the model cannot know."""
    return {**render_segment(number, segment), **{name: getattr(segment, name) for name in NEUTRAL}}


def _word(word: Word) -> dict[str, Any]:
    known = {} if word.probability is None else {"probability": round(word.probability, 4)}
    return {**render_word(word), **known}


def name_outputs(sources: Sequence[Source], folder: Path | None) -> dict[Source, Path]:
    """Return for every source the unique path of its output, without the format's suffix.

    With a folder the structure below it is kept; without one outputs lie beside their recordings. A recording
    whose name differs from another's only in its suffix keeps the suffix: `a.mp3` and `a.wav` become
    `a.mp3.txt` and `a.wav.txt`. Case is ignored, as on many file systems.
    """
    full_paths = {
        source: (folder / source.output_path) if folder else source.default_folder / source.output_path.name
        for source in sources
    }
    stems = {source: full_path.with_name(_stem(full_path)) for source, full_path in full_paths.items()}
    n_sharing = Counter(_folded(stem) for stem in stems.values())
    result: dict[Source, Path] = {}
    taken: set[str] = set()
    for source in sources:
        first = stems[source] if n_sharing[_folded(stems[source])] == 1 else full_paths[source]
        number, path = 1, first
        while _folded(path) in taken or (path != stems[source] and n_sharing[_folded(path)]):
            number += 1
            path = first.with_name(f"{first.name}-{number}")
        taken.add(_folded(path))
        result[source] = path
    return result


def _stem(path: Path) -> str:
    return path.stem or path.name


def _folded(path: Path) -> str:
    return os.path.abspath(path).casefold()  # noqa: PTH100 - resolve() would follow links


def with_format(path: Path, kind: Format) -> Path:
    """Add a format's suffix to a path that may have dots of its own."""
    return path.with_name(f"{path.name}.{kind.value}")


def existing(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that exist."""
    return [path for path in paths if path.exists()]
