"""A client of servers that speak the transcription API: the vendors' own, another Hearsay, any other.

Knows no command line and no terminal. Recordings over a server's limits are cut into overlapping parts, sent
a few at a time, and merged by `segments`. Limits and addresses are those of the vendors' documentation
(OpenAI: 25 MB; Groq: 25 MB, 100 MB for paying customers) and of their error messages.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from hearsay import __version__
from hearsay.client import stitching
from hearsay.client.http_errors import AudioTooLong
from hearsay.client.parsing import Answer, parse_answer, spaced
from hearsay.client.seam_search import Span
from hearsay.client.transport import RetryPolicy, Transport
from hearsay.domain import (
    SAMPLE_RATE,
    Audio,
    Chunking,
    Segment,
    Task,
    TranscribeOptions,
    Transcript,
    VadThresholds,
)
from hearsay.errors import HearsayError, InvalidRequest, PayloadTooLarge
from hearsay.media import decoding

MEGABYTE = 1024 * 1024

KEY_VARIABLE = "HEARSAY_API_KEY"
"""Environment variable with the key for servers that are no vendor's."""

SUFFIXES = frozenset({".flac", ".mp3", ".mp4", ".mpeg", ".mpga", ".m4a", ".ogg", ".wav", ".webm"})
"""Names of files that every vendor takes as they are; others are decoded here and sent as FLAC."""

_FORM_BYTES = 4096
"""What a request's fields and boundaries may add to the file; servers count the whole body."""
_FLAC_BYTES_PER_SECOND = 33_000
"""FLAC of 16 kHz mono noise, the worst case."""
_MAX_RECUTS = 5
_MIN_PART_SECONDS = 5.0
_MARGIN = 0.98
"""How much of a limit in seconds is used; containers round."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """What is known about a public service."""

    name: str
    hosts: tuple[str, ...]
    prefix: str
    """What precedes `/audio/...`, however much of it the caller gives."""
    key_variable: str
    models: Mapping[Task, str]
    """The model that is meant where the caller names none."""


VENDORS = (
    Vendor(
        "OpenAI",
        ("api.openai.com",),
        "/v1",
        "OPENAI_API_KEY",
        {Task.TRANSCRIBE: "whisper-1", Task.TRANSLATE: "whisper-1"},
    ),
    Vendor(
        "Groq",
        ("api.groq.com",),
        "/openai/v1",
        "GROQ_API_KEY",
        {Task.TRANSCRIBE: "whisper-large-v3-turbo", Task.TRANSLATE: "whisper-large-v3"},
    ),
    Vendor(
        "Together AI",
        ("api.together.xyz", "api.together.ai"),
        "/v1",
        "TOGETHER_API_KEY",
        {Task.TRANSCRIBE: "openai/whisper-large-v3", Task.TRANSLATE: "openai/whisper-large-v3"},
    ),
)

_TEXT_ONLY = re.compile(r"gpt-.*transcribe")
"""OpenAI's models that give no times and take at most `_TEXT_ONLY_SECONDS` at once."""
_TEXT_ONLY_SECONDS = 1380.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is sent at once, and how patiently."""

    part_bytes: int = 25 * MEGABYTE
    """Largest upload; longer recordings are cut."""
    part_seconds: float = 600.0
    """Longest part of a recording that is cut."""
    overlap: float = 10.0
    """Seconds that neighbouring parts share."""
    n_requests: int = 4
    """Requests in flight at once."""
    retries: int = 4
    """New tries after an answer that may be better next time."""
    patience: float = 600.0
    """Seconds that the tries of one request may wait altogether."""
    timeout: float = 900.0
    """Seconds that a server may take to answer."""


def vendor_of(base_url: str) -> Vendor | None:
    """Recognise a public service by its host."""
    host = urlsplit(base_url).hostname or ""
    return next((v for v in VENDORS if any(host == h or host.endswith("." + h) for h in v.hosts)), None)


def endpoint(base_url: str, task: Task) -> str:
    """Join the address that a user may paste, with or without `/v1`, and the path, as the vendors' clients
    do.

    Raises: `InvalidRequest` for what is no http address.
    """
    address = urlsplit(base_url.strip())
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InvalidRequest(f"{base_url!r} is no http:// or https:// address.", param="base_url")
    path = re.sub(r"/audio/(transcriptions|translations)/?$", "", address.path).rstrip("/")
    vendor = vendor_of(base_url)
    if vendor is not None:
        path = vendor.prefix
    elif not re.search(r"/v\d", path):
        path = f"{path}/v1"
    kind = "translations" if task is Task.TRANSLATE else "transcriptions"
    return address._replace(path=f"{path}/audio/{kind}", query="", fragment="").geturl()


def find_key(base_url: str, environment: Mapping[str, str]) -> str | None:
    """Find the key meant for that server; no vendor is ever shown a key meant for another server."""
    vendor = vendor_of(base_url)
    return environment.get(vendor.key_variable if vendor else KEY_VARIABLE) or None


class TranscriptionClient:
    """One server, and how to talk to it; an async context manager."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        limits: Limits = Limits(),
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Prepare to use the server; `note` is told about waiting and cutting, one sentence at a time."""
        endpoint(base_url, Task.TRANSCRIBE)  # refuse a bad address now
        self.base_url = base_url
        self.vendor = vendor_of(base_url)
        self._model, self._limits, self._note = model, limits, note
        self._permits = asyncio.Semaphore(limits.n_requests)
        headers = {"User-Agent": f"hearsay/{__version__}"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        patience = RetryPolicy(limits.retries, limits.patience, limits.timeout)
        self._sender = Transport(headers, patience, transport=transport, sleep=sleep, note=note)
        self._refused: set[str] = set()
        self._longest: float | None = None
        """Seconds that the server takes at once, once it has said that there is a limit."""

    async def __aenter__(self) -> TranscriptionClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sender.close()

    def model(self, task: Task) -> str:
        """Name the model that will be asked for."""
        default = self.vendor.models[task] if self.vendor else "whisper-1"
        return self._model or default

    def gives_times(self, task: Task) -> bool:
        """Return whether the model gives segments with times, as far as is known."""
        known = self.vendor is not None and self.vendor.name == "OpenAI"
        return "verbose_json" not in self._refused and not (known and _TEXT_ONLY.match(self.model(task)))

    async def transcribe(
        self,
        source: Path,
        options: TranscribeOptions,
        *,
        progress: Callable[[float, float], None] = lambda done, total: None,
    ) -> Transcript:
        """Transcribe one recording; `progress` is told the seconds done and the seconds in all.

        The transcript has no segments where the server gives no times. Raises: what the server's answers
        mean, with the server's words; `EngineFailed` where it cannot be reached.
        """
        n_bytes = source.stat().st_size
        if self._may_go_whole(source, n_bytes) and self.gives_times(options.task):
            try:
                return await self._whole(source, options, progress)
            except (PayloadTooLarge, AudioTooLong) as error:
                self._narrow(error, n_bytes, self._longest or math.inf)
        recording = await asyncio.to_thread(decoding.load, source)
        for _ in range(_MAX_RECUTS):
            part = self._part_seconds(options.task)
            limits = replace(self._limits, part_seconds=part)
            try:
                return await self._in_parts(recording, options, limits, progress)
            except (PayloadTooLarge, AudioTooLong) as error:
                self._narrow(error, limits.part_bytes, part)
        raise PayloadTooLarge(
            f"{self.base_url} still says too large or too long after cutting {_MAX_RECUTS} times."
        )

    def _may_go_whole(self, source: Path, n_bytes: int) -> bool:
        """Return whether a file may be sent as it is.

        Where time is limited, only decoding tells its length.
        """
        fits = n_bytes + _FORM_BYTES <= self._limits.part_bytes
        return fits and source.suffix.lower() in SUFFIXES and self._longest is None

    def _part_seconds(self, task: Task) -> float:
        """Choose the length of parts; without times every seam is a risk, so they are long then."""
        usual = self._limits.part_seconds if self.gives_times(task) else _TEXT_ONLY_SECONDS
        return min(usual, self._longest or math.inf)

    def _narrow(self, error: HearsayError, n_bytes: int, seconds: float) -> None:
        """Learn from a refusal what the server takes; halve what was sent where it does not say."""
        if isinstance(error, AudioTooLong):
            told = error.limit * _MARGIN
            self._longest = told if told < seconds else seconds / 2
            self._note(f"The server takes at most {error.limit:.0f} s at once; cutting into parts.")
            return
        said = re.search(r"limit \((\d{5,})\)", error.message)
        known = said is not None and int(said[1]) < n_bytes
        allowed = int(said[1]) if said and known else min(n_bytes, self._limits.part_bytes) // 2
        self._note(
            f"The server does not take {n_bytes / MEGABYTE:.1f} MB at once; cutting into smaller parts."
        )
        self._limits = replace(self._limits, part_bytes=min(allowed, self._limits.part_bytes))

    async def _whole(
        self, source: Path, options: TranscribeOptions, progress: Callable[[float, float], None]
    ) -> Transcript:
        async with self._permits:
            answer = await self._ask(f"audio{source.suffix.lower()}", source, options, words=options.words)
        duration = answer.duration
        if duration is None:
            duration = (await asyncio.to_thread(decoding.load, source)).duration
        progress(duration, duration)
        return self._transcript([((0.0, duration), answer)], options, duration)

    async def _in_parts(
        self,
        recording: Audio,
        options: TranscribeOptions,
        limits: Limits,
        progress: Callable[[float, float], None],
    ) -> Transcript:
        """Cut, send and merge; the first part goes ahead, so that all agree on the language it is in."""
        spans = _spans(recording, limits)
        done = 0.0

        async def send(span: Span, chosen: TranscribeOptions) -> Answer:
            nonlocal done
            flac = await asyncio.to_thread(_encode, recording, span)
            answer = await self._ask("part.flac", flac, chosen, words=options.words or len(spans) > 1)
            done += recording.duration / len(spans)
            progress(min(done, recording.duration), recording.duration)
            return answer

        first = await self._permitted(send, spans[0], options)
        language = options.language or first.language
        rest = replace(options, language=language if options.task is Task.TRANSCRIBE else options.language)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._permitted(send, span, rest)) for span in spans[1:]]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        answers = [first, *(task.result() for task in tasks)]
        whole = self._transcript(list(zip(spans, answers, strict=True)), options, recording.duration)
        return replace(whole, warnings=(*recording.warnings, *whole.warnings))

    async def _permitted(
        self,
        send: Callable[[Span, TranscribeOptions], Awaitable[Answer]],
        span: Span,
        options: TranscribeOptions,
    ) -> Answer:
        async with self._permits:
            return await send(span, options)

    def _transcript(
        self,
        answers: list[tuple[Span, Answer]],
        options: TranscribeOptions,
        duration: float,
    ) -> Transcript:
        """Merge the answers to the parts, moved to where the parts lie in the recording."""
        timed = all(answer.timed or not answer.text for _, answer in answers)
        merged = stitching.merge([(span, _placed(span, answer)) for span, answer in answers])
        text = "".join(segment.text for segment in merged).strip() if len(answers) > 1 else answers[0][1].text
        spoken = Counter[str]()
        for (start, end), answer in answers:
            if answer.language:
                spoken[answer.language] += round(1000 * (end - start))
        warnings = list(dict.fromkeys(text for _, answer in answers for text in answer.warnings))
        if options.words and not all(segment.words for segment in merged):
            warnings.append("The server gave no word times for some or all of this recording.")
        if not options.words:  # they served the merging only
            merged = [replace(segment, words=None) for segment in merged]
        return Transcript(
            text=text,
            segments=tuple(merged) if timed else (),
            language=spoken.most_common(1)[0][0] if spoken else None,
            duration=duration,
            task=options.task,
            model=next((a.model for _, a in answers if a.model), None) or self.model(options.task),
            warnings=tuple(warnings),
        )

    async def _ask(
        self, name: str, content: Path | bytes, options: TranscribeOptions, *, words: bool
    ) -> Answer:
        """Send one upload, leaving out in a second try what the server says that it does not know."""
        while True:
            form = self._form(options, words=words)
            try:
                body = await self._sender.post(endpoint(self.base_url, options.task), form, name, content)
            except InvalidRequest as error:
                refused = self._learn(error, form)
                if refused is None:
                    raise
                self._refused.add(refused)
                self._note(f"The server refuses {refused}; trying without it.")
                continue
            return parse_answer(body)

    def _learn(self, error: InvalidRequest, form: Mapping[str, Any]) -> str | None:
        """Find in a refusal the optional feature at fault, if it was asked for."""
        said = f"{error.param} {error.message}"
        asked = {
            "word times": "timestamp_granularities[]" in form and "timestamp_granularities" in said,
            "verbose_json": form["response_format"] == "verbose_json"
            and ("response_format" in said or "verbose_json" in said),
        }
        return next((feature for feature, found in asked.items() if found), None)

    def _form(self, options: TranscribeOptions, *, words: bool) -> dict[str, Any]:
        """Spell the options as servers want them; translations take fewer."""
        timed = self.gives_times(options.task)
        form: dict[str, Any] = {
            "model": self.model(options.task),
            "response_format": "verbose_json" if timed else "json",
        }
        translate = options.task is Task.TRANSLATE
        if options.language and not (translate and self.vendor):
            form["language"] = options.language
        if options.prompt:
            form["prompt"] = options.prompt
        if options.temperature:
            form["temperature"] = f"{options.temperature:g}"
        if words and timed and "word times" not in self._refused and not (translate and self.vendor):
            form["timestamp_granularities[]"] = ["word", "segment"]
        return form | _chunking(options)


def _chunking(options: TranscribeOptions) -> dict[str, str]:
    """Spell how a long recording is to be cut; `sequential` is a word that only another Hearsay knows."""
    match options.chunking, options.vad:
        case None, None:
            return {}
        case Chunking.SEQUENTIAL, _:
            return {"chunking_strategy": "sequential"}
        case _, None:
            return {"chunking_strategy": "auto"}
        case _, VadThresholds(threshold, min_silence, padding):
            return {
                "chunking_strategy[type]": "server_vad",
                "chunking_strategy[threshold]": f"{threshold:g}",
                "chunking_strategy[silence_duration_ms]": f"{min_silence * 1000:g}",
                "chunking_strategy[prefix_padding_ms]": f"{padding * 1000:g}",
            }


def _spans(recording: Audio, limits: Limits) -> list[Span]:
    """Cut a recording so that each part, as FLAC, is within the limits."""
    by_size = (limits.part_bytes - _FORM_BYTES) / _FLAC_BYTES_PER_SECOND
    part = min(limits.part_seconds, by_size)
    if part < _MIN_PART_SECONDS:
        text = f"The server takes at most {limits.part_bytes} bytes at once, which hold too little sound."
        raise InvalidRequest(text, code=PayloadTooLarge.code)
    return stitching.cut_quietly(recording, part=part, overlap=min(limits.overlap, part / 3))


def _encode(recording: Audio, span: Span) -> bytes:
    start, end = (round(edge * SAMPLE_RATE) for edge in span)
    return decoding.encode(recording.samples(start, end), "flac")


def _placed(span: Span, answer: Answer) -> list[Segment]:
    """Move an answer's segments to where its part lies; a text without times fills the part."""
    if not answer.timed:
        return spaced([Segment(*span, answer.text)]) if answer.text else []
    return [segment.shifted(span[0]) for segment in answer.segments]
