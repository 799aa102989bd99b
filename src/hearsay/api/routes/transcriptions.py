"""Transcription and translation: one request from its first byte to its last.

Knows no vendor and no engine. The collected answer is the collected stream: there is one way through.
Answers that take long show early that they are alive, because some clients give up after 60 silent
seconds: streams with comments, JSON with white space in front. An error after that cuts the connection,
so that nobody takes the answer for whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hearsay.api.middleware.dialect_choice import dialect_of
from hearsay.api.middleware.error_responses import error_response
from hearsay.api.middleware.request_trace import trace_of
from hearsay.api.request.audio_source import as_file, choose_source
from hearsay.api.request.exchange import ClientDisconnected, Exchange, with_keepalive
from hearsay.api.request.multipart_form import Form, FormLimits, read_form
from hearsay.api.request.url_fetch import Fetcher
from hearsay.asr.transcription import Transcription, check_options
from hearsay.dialects.json_bytes import encode
from hearsay.dialects.rendering import render_json, render_verbose
from hearsay.dialects.sse import DONE, PING, Deltas, frame, render_done
from hearsay.dialects.transcription_request import ResponseFormat, TranscriptionRequest, parse_transcription
from hearsay.domain import Audio, DecodeSettings, ModelCard, Segment, Task, Transcript
from hearsay.engines.protocols import SpeechDetector
from hearsay.errors import UnsupportedMediaType
from hearsay.models.catalogue import Catalogue
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.model_pool import Lease, ModelPool
from hearsay.transcripts import subtitles

JSON = "application/json"
PLAIN = "text/plain; charset=utf-8"
EVENTS = "text/event-stream"


class Decoders(Protocol):
    """What turns a file into audio without blocking (`decoders.DecoderPool`)."""

    async def decode(self, source: Path) -> Audio:
        """Decode one file."""
        ...

    async def close(self) -> None:
        """Stop working."""
        ...


Detector = Callable[[ModelCard], SpeechDetector | None]
"""Gives the detector of speech that goes with a model, if any; the first who asks may have to wait for it."""


def no_detector(card: ModelCard) -> None:
    """Return no detector of speech."""


@dataclass(frozen=True, slots=True)
class TranscriptionDeps:
    """Everything that a transcription needs, shared by all requests."""

    catalogue: Catalogue
    pool: ModelPool
    decoders: Decoders
    admission: Admission
    fetcher: Fetcher = field(default_factory=Fetcher)
    limits: FormLimits = field(default_factory=FormLimits)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    detector: Detector = no_detector
    folder: Path | None = None
    """Where uploads are spooled; None is the system's temporary folder."""
    pulse_seconds: float = 20.0
    """After how much silence an answer that takes long shows that it is alive."""


class TranscriptionJob(Response):
    """A response that does its work while it is sent, so that hanging up ends both."""

    def __init__(self, deps: TranscriptionDeps, task: Task) -> None:
        self.background = None
        self._deps = deps
        self._task = task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, do the work, send the answer."""
        exchange = Exchange(receive, send)
        with self._deps.admission.request(), await self._form(scope, exchange) as form:
            asked = parse_transcription(form.fields, task=self._task, dialect=dialect_of(scope))
            trace_of(scope).warn(*asked.warnings)
            await exchange.until_disconnect(
                TranscriptionResponse(self._deps, scope, exchange, asked).serve(form)
            )

    async def _form(self, scope: Scope, exchange: Exchange) -> Form:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Send the body without a content encoding.")
        with trace_of(scope).stage("upload"):
            return await read_form(
                exchange.body(),
                content_type=headers.get("content-type", ""),
                content_length=int(length) if length.isascii() and length.isdigit() else None,
                limits=self._deps.limits,
                folder=self._deps.folder,
            )


class TranscriptionResponse:
    """One recording on its way to an answer."""

    def __init__(
        self, deps: TranscriptionDeps, scope: Scope, exchange: Exchange, asked: TranscriptionRequest
    ) -> None:
        self._deps = deps
        self._scope = scope
        self._exchange = exchange
        self._asked = asked
        self._trace = trace_of(scope)
        self._deltas = Deltas()

    async def serve(self, form: Form) -> None:
        """Do the work and answer. Raises what went wrong, but for streams that have begun, which say it."""
        try:
            transcript = await self._transcribe(form)
        except ClientDisconnected:
            raise
        except Exception as error:
            if not (self._asked.stream and self._exchange.started):
                raise
            await self._exchange.end(frame(error_response(error, self._scope).body))
        else:
            await self._finish(transcript)

    async def _transcribe(self, form: Form) -> Transcript:
        deps, trace, asked = self._deps, self._trace, self._asked
        task = asked.options.task
        # A name that means nothing is told before anything is fetched; the lease looks it up again.
        await asyncio.to_thread(deps.catalogue.card, asked.model, task)
        async with AsyncExitStack() as stack:
            with trace.stage("fetch"):
                path = await stack.enter_async_context(
                    as_file(
                        choose_source(form),
                        fetcher=deps.fetcher,
                        max_bytes=deps.limits.upload_bytes,
                        folder=deps.folder,
                    )
                )
            with trace.stage("load"):
                lease = await stack.enter_async_context(await deps.pool.lease(asked.model, task))
            check_options(asked.options, lease.recognizer, lease.card)
            trace.model = lease.card.id
            if advice := await asyncio.to_thread(deps.catalogue.upgrade_hint, lease.card):
                trace.warn(advice)
            with trace.stage("decode"):
                audio = await deps.decoders.decode(path)
            trace.audio_seconds = audio.duration
            trace.warn(*audio.warnings)
            with trace.stage("recognize"):
                # Not earlier: what is wrong with the request or the recording shall have its own status.
                work = self._recognize(audio, lease)
                return await with_keepalive(work, beat=self._keepalive, every=deps.pulse_seconds)

    async def _recognize(self, audio: Audio, lease: Lease) -> Transcript:
        exchange = self._exchange
        transcription = Transcription(
            audio,
            self._asked.options,
            lease.recognizer,
            lease.card,
            decode=self._deps.decode,
            submit=lease.request_queue.submit if lease.request_queue is not None else None,
            detector=await asyncio.to_thread(self._deps.detector, lease.card),
            cancelled=lambda: exchange.gone() or lease.cancelled(),
            eager=self._asked.stream,
        )
        if self._asked.stream:
            await exchange.start(200, [("content-type", EVENTS), ("cache-control", "no-cache")])
        async with aclosing(lease.stream(transcription.steps)) as steps:
            async for segment in steps:
                if segment is not None:
                    await self._emit(segment)
        transcript = await lease.run(transcription.transcript)
        self._trace.stages["queue"] = lease.timings.queued
        self._trace.warn(*transcript.warnings)
        return replace(transcript, warnings=tuple(self._trace.warnings))

    async def _emit(self, segment: Segment) -> None:
        delta = self._deltas.add(segment.text) if self._asked.stream else None
        if delta is not None:
            await self._exchange.write(frame(delta))

    async def _keepalive(self) -> None:
        """Show that the answer is being worked on, in a way that changes nothing for whoever reads it."""
        if self._asked.stream:
            await self._exchange.write(PING)
        elif self._asked.response_format in (ResponseFormat.JSON, ResponseFormat.VERBOSE_JSON):
            if not self._exchange.started:
                await self._exchange.start(200, [("content-type", JSON)])
            await self._exchange.write(b"\n")

    async def _finish(self, transcript: Transcript) -> None:
        exchange = self._exchange
        if self._asked.stream:
            done = render_done(transcript, self._deltas.text, self._trace.id)
            await exchange.end(frame(done) + DONE)
            return
        # A long transcript takes long enough to write for other callers to notice.
        body, media_type = await asyncio.to_thread(self._render, transcript)
        if not exchange.started:
            await exchange.start(200, [("content-type", media_type), ("content-length", str(len(body)))])
        await exchange.end(body)

    def _render(self, transcript: Transcript) -> tuple[bytes, str]:
        match self._asked.response_format:
            case ResponseFormat.JSON:
                return encode(render_json(transcript, self._trace.id)), JSON
            case ResponseFormat.VERBOSE_JSON:
                dialect = dialect_of(self._scope)
                return encode(render_verbose(transcript, self._asked, dialect, self._trace.id)), JSON
            case ResponseFormat.TEXT:
                return f"{transcript.text}\n".encode("utf-8", "replace"), PLAIN
            case ResponseFormat.SRT:
                return subtitles.srt(transcript.segments).encode("utf-8", "replace"), PLAIN
            case ResponseFormat.VTT:
                return subtitles.vtt(transcript.segments).encode("utf-8", "replace"), PLAIN
