"""Client of servers with the transcription API: the vendors' own, another Hearsay, any other.

Knows no command line and no terminal. Recordings over a server's limits are cut into overlapping parts, sent
a few at a time, and merged by `stitching`. Source of limits and addresses: the vendors' documentation
(OpenAI: 25 MB; Groq: 25 MB, 100 MB for paying customers) and error messages.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from hearsay import __version__
from hearsay.client import stitching
from hearsay.client.http_errors import AudioTooLong
from hearsay.client.parsing import UploadTranscript, parse_response, with_leading_spaces
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
"""Environment variable with the key for servers of no known vendor."""

SUFFIXES = frozenset({".flac", ".mp3", ".mp4", ".mpeg", ".mpga", ".m4a", ".ogg", ".wav", ".webm"})
"""File types that every vendor accepts; others are decoded here and sent as FLAC."""

_FORM_BYTES = 4096
"""Allowance for a request's fields and boundaries; servers count the whole body."""
_FLAC_BYTES_PER_SECOND = 33_000
"""FLAC of 16 kHz mono noise, the worst case."""
_MAX_RECUTS = 5
_MIN_PART_SECONDS = 5.0
_LIMIT_USE = 0.98
"""Used fraction of a limit in seconds; containers round."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """Addresses and defaults of a public service."""

    name: str
    hosts: tuple[str, ...]
    prefix: str
    """Path before `/audio/...`, whatever path the base URL has."""
    key_variable: str
    model: str
    """Default model."""
    translation_model: str | None = None
    """Default model of translations, None if it is the same."""


VENDORS = (
    Vendor("OpenAI", ("api.openai.com",), "/v1", "OPENAI_API_KEY", "whisper-1"),
    Vendor(
        "Groq", ("api.groq.com",), "/openai/v1", "GROQ_API_KEY", "whisper-large-v3-turbo", "whisper-large-v3"
    ),
    Vendor(
        "Together AI",
        ("api.together.xyz", "api.together.ai"),
        "/v1",
        "TOGETHER_API_KEY",
        "openai/whisper-large-v3",
    ),
)

_TEXT_ONLY = re.compile(r"gpt-.*transcribe")
"""OpenAI's models that return no times and accept at most `_TEXT_ONLY_SECONDS` per request."""
_TEXT_ONLY_SECONDS = 1380.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of uploads, concurrency, and retries."""

    part_bytes: int = 25 * MEGABYTE
    """Largest upload; larger recordings are cut."""
    part_seconds: float = 600.0
    """Longest part of a recording that is cut."""
    overlap: float = 10.0
    """Overlap of neighbouring parts, seconds."""
    n_requests: int = 4
    """Requests in flight at once."""
    retries: int = 4
    """Attempts after a retryable error."""
    max_wait: float = 600.0
    """Total delay between the attempts of one request, seconds."""
    timeout: float = 900.0
    """Read timeout, seconds."""


def vendor_of(base_url: str) -> Vendor | None:
    """Return the public service with the URL's host, or None."""
    host = urlsplit(base_url).hostname or ""
    return next((v for v in VENDORS if any(host == h or host.endswith("." + h) for h in v.hosts)), None)


def endpoint(base_url: str, task: Task) -> str:
    """Return the URL of a task's endpoint below a base URL with or without `/v1`, as the vendors' clients do.

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
    """Return the environment's key for that server; a vendor never receives another server's key."""
    vendor = vendor_of(base_url)
    return environment.get(vendor.key_variable if vendor else KEY_VARIABLE) or None


class TranscriptionClient:
    """Connection to one transcription server; an async context manager."""

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
        """Open a client; `note` receives a sentence about every delay, cut and dropped option."""
        endpoint(base_url, Task.TRANSCRIBE)  # refuse a bad address now
        self.base_url = base_url
        self.vendor = vendor_of(base_url)
        self._model, self._limits, self._note = model, limits, note
        self._permits = asyncio.Semaphore(limits.n_requests)
        headers = {"User-Agent": f"hearsay/{__version__}"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        policy = RetryPolicy(limits.retries, limits.max_wait, limits.timeout)
        self._transport = Transport(headers, policy, transport=transport, sleep=sleep, note=note)
        self._unsupported: set[str] = set()
        self._max_seconds: float | None = None
        """Longest upload, seconds, learned from an error response."""

    async def __aenter__(self) -> TranscriptionClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    def model(self, task: Task) -> str:
        """Return the model name of requests for a task."""
        if self._model or not self.vendor:
            return self._model or "whisper-1"
        return (task is Task.TRANSLATE and self.vendor.translation_model) or self.vendor.model

    def returns_times(self, task: Task) -> bool:
        """Return whether the model is expected to return segments with times."""
        known = self.vendor is not None and self.vendor.name == "OpenAI"
        return "verbose_json" not in self._unsupported and not (known and _TEXT_ONLY.match(self.model(task)))

    async def transcribe(
        self,
        source: Path,
        options: TranscribeOptions,
        *,
        progress: Callable[[float, float], None] = lambda done, total: None,
    ) -> Transcript:
        """Transcribe one recording; `progress` is called with the seconds done and in total.

        The transcript has no segments where the server returns no times. Raises: the error that a response
        means, with the server's message; `EngineFailed` where the server cannot be reached.
        """
        n_bytes = source.stat().st_size
        if self._fits_one_upload(source, n_bytes) and self.returns_times(options.task):
            try:
                return await self._transcribe_whole(source, options, progress)
            except (PayloadTooLarge, AudioTooLong) as error:
                self._tighten_limits(error, n_bytes, self._max_seconds or math.inf)
        recording = await asyncio.to_thread(decoding.load, source)
        for _ in range(_MAX_RECUTS):
            part = self._part_seconds(options.task)
            limits = replace(self._limits, part_seconds=part)
            try:
                return await self._transcribe_parts(recording, options, limits, progress)
            except (PayloadTooLarge, AudioTooLong) as error:
                self._tighten_limits(error, limits.part_bytes, part)
        raise PayloadTooLarge(
            f"{self.base_url} still says too large or too long after cutting {_MAX_RECUTS} times."
        )

    def _fits_one_upload(self, source: Path, n_bytes: int) -> bool:
        """Return whether a file may be sent as it is; under a limit in seconds its length must be decoded."""
        fits = n_bytes + _FORM_BYTES <= self._limits.part_bytes
        return fits and source.suffix.lower() in SUFFIXES and self._max_seconds is None

    def _part_seconds(self, task: Task) -> float:
        """Return the length of parts in seconds; without times seams are unreliable, so parts are long."""
        usual = self._limits.part_seconds if self.returns_times(task) else _TEXT_ONLY_SECONDS
        return min(usual, self._max_seconds or math.inf)

    def _tighten_limits(self, error: HearsayError, n_bytes: int, seconds: float) -> None:
        """Reduce the limits to those that an error states, or by half where it states none."""
        if isinstance(error, AudioTooLong):
            stated = error.limit * _LIMIT_USE
            self._max_seconds = stated if stated < seconds else seconds / 2
            self._note(f"The server takes at most {error.limit:.0f} s at once; cutting into parts.")
            return
        match = re.search(r"limit \((\d{5,})\)", error.message)
        stated_bytes = int(match[1]) if match else n_bytes
        allowed = stated_bytes if stated_bytes < n_bytes else min(n_bytes, self._limits.part_bytes) // 2
        self._note(
            f"The server does not take {n_bytes / MEGABYTE:.1f} MB at once; cutting into smaller parts."
        )
        self._limits = replace(self._limits, part_bytes=min(allowed, self._limits.part_bytes))

    async def _transcribe_whole(
        self, source: Path, options: TranscribeOptions, progress: Callable[[float, float], None]
    ) -> Transcript:
        async with self._permits:
            answer = await self._upload(f"audio{source.suffix.lower()}", source, options, words=options.words)
        duration = answer.duration
        if duration is None:
            duration = (await asyncio.to_thread(decoding.load, source)).duration
        progress(duration, duration)
        return self._transcript([((0.0, duration), answer)], options, duration)

    async def _transcribe_parts(
        self,
        recording: Audio,
        options: TranscribeOptions,
        limits: Limits,
        progress: Callable[[float, float], None],
    ) -> Transcript:
        """Cut, upload and merge; the first part goes first, so that its language applies to all parts."""
        spans = _cut(recording, limits)
        done = 0.0

        async def send(span: Span, chosen: TranscribeOptions) -> UploadTranscript:
            nonlocal done
            async with self._permits:
                flac = await asyncio.to_thread(_encode, recording, span)
                answer = await self._upload("part.flac", flac, chosen, words=options.words or len(spans) > 1)
                done += recording.duration / len(spans)
                progress(min(done, recording.duration), recording.duration)
                return answer

        first = await send(spans[0], options)
        language = options.language or first.language
        rest = replace(options, language=language if options.task is Task.TRANSCRIBE else options.language)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(span, rest)) for span in spans[1:]]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        answers = [first, *(task.result() for task in tasks)]
        whole = self._transcript(list(zip(spans, answers, strict=True)), options, recording.duration)
        return replace(whole, warnings=(*recording.warnings, *whole.warnings))

    def _transcript(
        self, answers: list[tuple[Span, UploadTranscript]], options: TranscribeOptions, duration: float
    ) -> Transcript:
        """Return the merged transcript of the parts, with times from the start of the recording."""
        timed = all(answer.timed or not answer.text for _, answer in answers)
        merged = stitching.merge([(span, _shifted_segments(span, answer)) for span, answer in answers])
        text = "".join(segment.text for segment in merged).strip() if len(answers) > 1 else answers[0][1].text
        spoken = Counter[str]()
        for (start, end), answer in answers:
            if answer.language:
                spoken[answer.language] += round(1000 * (end - start))
        warnings = list(dict.fromkeys(text for _, answer in answers for text in answer.warnings))
        if options.words and not all(segment.words for segment in merged):
            warnings.append("The server gave no word times for some or all of this recording.")
        if not options.words:  # requested for merging only
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

    async def _upload(
        self, name: str, content: Path | bytes, options: TranscribeOptions, *, words: bool
    ) -> UploadTranscript:
        """Post one upload, again without each optional feature that the server does not support."""
        while True:
            form = self._form(options, words=words)
            try:
                body = await self._transport.post(endpoint(self.base_url, options.task), form, name, content)
            except InvalidRequest as error:
                refused = self._unsupported_feature(error, form)
                if refused is None:
                    raise
                self._unsupported.add(refused)
                self._note(f"The server refuses {refused}; trying without it.")
                continue
            return parse_response(body)

    def _unsupported_feature(self, error: InvalidRequest, form: Mapping[str, Any]) -> str | None:
        """Return the optional feature that an error rejects, if the form requested it."""
        text = f"{error.param} {error.message}"
        rejected = {
            "word times": "timestamp_granularities[]" in form and "timestamp_granularities" in text,
            "verbose_json": form["response_format"] == "verbose_json"
            and ("response_format" in text or "verbose_json" in text),
        }
        return next((feature for feature, found in rejected.items() if found), None)

    def _form(self, options: TranscribeOptions, *, words: bool) -> dict[str, Any]:
        """Return the form fields of a request; vendors' translations have fewer."""
        timed = self.returns_times(options.task)
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
        if words and timed and "word times" not in self._unsupported and not (translate and self.vendor):
            form["timestamp_granularities[]"] = ["word", "segment"]
        return form | _chunking(options)


def _chunking(options: TranscribeOptions) -> dict[str, str]:
    """Return the form fields of `chunking_strategy`; only Hearsay knows `sequential`."""
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


def _cut(recording: Audio, limits: Limits) -> list[Span]:
    """Return the spans of parts that, as FLAC, are within the limits."""
    by_size = (limits.part_bytes - _FORM_BYTES) / _FLAC_BYTES_PER_SECOND
    part = min(limits.part_seconds, by_size)
    if part < _MIN_PART_SECONDS:
        text = f"The server takes at most {limits.part_bytes} bytes at once, which hold too little sound."
        raise InvalidRequest(text, code=PayloadTooLarge.code)
    return stitching.cut_at_pauses(recording, part=part, overlap=min(limits.overlap, part / 3))


def _encode(recording: Audio, span: Span) -> bytes:
    start, end = (round(edge * SAMPLE_RATE) for edge in span)
    return decoding.encode(recording.samples(start, end), "flac")


def _shifted_segments(span: Span, answer: UploadTranscript) -> list[Segment]:
    """Return a part's segments with times of the recording; a text without times fills the part."""
    if not answer.timed:
        return with_leading_spaces([Segment(*span, answer.text)]) if answer.text else []
    return [segment.shifted(span[0]) for segment in answer.segments]
