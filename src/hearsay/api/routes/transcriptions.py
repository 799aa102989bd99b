"""Transcription and translation: one request from its form to its text.

Knows no vendor and no engine. The collected answer is the collected stream: there is one way through. An
answer that takes long begins early: an event stream with comments, JSON with white space in front.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from hearsay.api import openapi
from hearsay.api.middleware.auth import BEARER
from hearsay.api.request.audio_source import as_file, choose_source
from hearsay.api.request.exchange import declared_length
from hearsay.api.request.json_body import JsonResponse
from hearsay.api.request.multipart_form import FormLimits, read_form
from hearsay.api.request.streaming import StreamedResponse
from hearsay.api.request.url_fetch import Fetcher
from hearsay.asr.transcription import Transcription, check_options
from hearsay.dialects import PREFIX
from hearsay.dialects.rendering import encode_json, render_json, render_verbose
from hearsay.dialects.sse import DONE, PING, Deltas, frame, render_done
from hearsay.dialects.transcription_request import ResponseFormat, parse_transcription
from hearsay.domain import Audio, DecodeSettings, ModelCard, Task, Transcript
from hearsay.engines.protocols import SpeechDetector
from hearsay.transcripts import subtitles

if TYPE_CHECKING:
    from hearsay.models.catalogue import Catalogue
    from hearsay.scheduling.model_pool import Lease, ModelPool

PLAIN = "text/plain; charset=utf-8"


class Decoders(Protocol):
    """What decodes a file without blocking (`media.worker_pool.MediaDecoderPool`)."""

    async def decode(self, source: Path) -> Audio:
        """Decode one file."""
        ...

    async def close(self) -> None:
        """End all work."""
        ...


Detector = Callable[[ModelCard], SpeechDetector | None]
"""Returns the speech detector that goes with a model, if any; the first call may block while it is loaded."""


def no_detector(card: ModelCard) -> None:
    """Return no speech detector."""


@dataclass(frozen=True, slots=True)
class TranscriptionDeps:
    """Everything that a transcription needs, shared by all requests."""

    catalogue: Catalogue
    pool: ModelPool
    decoders: Decoders
    fetcher: Fetcher = field(default_factory=Fetcher)
    limits: FormLimits = field(default_factory=FormLimits)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    detector: Detector = no_detector
    folder: Path | None = None
    """Where uploads are spooled; None is the system's temporary folder."""
    keepalive_seconds: float = 20.0
    """After how much silence an answer that takes long shows that it is being worked on."""


def routes(deps: TranscriptionDeps) -> APIRouter:
    """Return the routes that transcribe and translate."""
    router = APIRouter(prefix=f"{PREFIX}/audio", tags=["audio"], dependencies=[BEARER])

    @router.post(
        "/transcriptions",
        operation_id="createTranscription",
        responses=openapi.TRANSCRIPT,
        openapi_extra=openapi.request_body(Task.TRANSCRIBE),
        response_class=Response,
    )
    async def create_transcription(_: Request) -> Response:
        """Write what is said in a recording, in the language in which it is said."""
        return TranscriptionResponse(deps, Task.TRANSCRIBE)

    @router.post(
        "/translations",
        operation_id="createTranslation",
        responses=openapi.TRANSCRIPT,
        openapi_extra=openapi.request_body(Task.TRANSLATE),
        response_class=Response,
    )
    async def create_translation(_: Request) -> Response:
        """Write in English what is said in a recording."""
        return TranscriptionResponse(deps, Task.TRANSLATE)

    return router


class TranscriptionResponse(StreamedResponse):
    """The answer to one request to transcribe or translate."""

    def __init__(self, deps: TranscriptionDeps, task: Task) -> None:
        super().__init__(deps.pool.admission, keepalive_seconds=deps.keepalive_seconds)
        self._deps = deps
        self._task = task

    async def read(self, headers: Headers, resources: ExitStack) -> None:
        """Spool the form and parse its fields."""
        form = await read_form(
            self.exchange.body(),
            content_type=headers.get("content-type", ""),
            content_length=declared_length(headers),
            limits=self._deps.limits,
            folder=self._deps.folder,
        )
        self._form = resources.enter_context(form)
        self._asked = parse_transcription(form.fields, task=self._task, dialect=self.dialect)
        self.trace.warn(*self._asked.warnings)
        self.is_event_stream = self._asked.stream
        self.media_type = PLAIN
        if self._asked.response_format in (ResponseFormat.JSON, ResponseFormat.VERBOSE_JSON):
            self.media_type, self.keepalive = JsonResponse.media_type, b"\n"
        if self.is_event_stream:
            self.keepalive, self._deltas = PING, Deltas()

    async def work(self) -> None:
        """Transcribe the recording of the form and answer."""
        transcript = await self._transcribe()
        if self.is_event_stream:
            done = render_done(transcript, self._deltas.text, self.context.id)
            await self.exchange.end(frame(done) + DONE)
            return
        # In a thread: a long transcript takes long enough to write to hold up other requests.
        body = await asyncio.to_thread(self._render, transcript)
        await self.start(("content-length", str(len(body))))
        await self.exchange.end(body)

    async def _transcribe(self) -> Transcript:
        deps, trace, asked = self._deps, self.trace, self._asked
        # An unknown name is refused before anything is fetched; the lease looks it up again.
        await asyncio.to_thread(deps.catalogue.card, asked.model, self._task)
        async with AsyncExitStack() as stack:
            with trace.stage("fetch"):
                path = await stack.enter_async_context(
                    as_file(
                        choose_source(self._form),
                        fetcher=deps.fetcher,
                        max_bytes=deps.limits.upload_bytes,
                        folder=deps.folder,
                    )
                )
            with trace.stage("load"):
                lease = await deps.pool.lease(asked.model, self._task, context=self.context)
                await stack.enter_async_context(lease)
            check_options(asked.options, lease.recognizer, lease.card)
            trace.model = lease.card.id
            with trace.stage("decode"), deps.pool.admission.decoding():
                audio = await deps.decoders.decode(path)
            trace.audio_seconds = audio.duration
            trace.warn(*audio.warnings)
            with trace.stage("recognize"):
                # Not earlier: what is wrong with the request or the recording has its own status.
                return await self.with_keepalive(self._recognize(audio, lease))

    async def _recognize(self, audio: Audio, lease: Lease) -> Transcript:
        transcription = Transcription(
            audio,
            self._asked.options,
            lease.recognizer,
            lease.card,
            decode=self._deps.decode,
            submit=lease.request_queue.submit if lease.request_queue is not None else None,
            detector=await asyncio.to_thread(self._deps.detector, lease.card),
            cancelled=lease.cancelled,
            eager=self.is_event_stream,
        )
        if self.is_event_stream:
            await self.start()
        async with aclosing(lease.stream(transcription.steps)) as steps:
            async for segment in steps:
                if self.is_event_stream and segment is not None:
                    delta = self._deltas.add(segment.text)
                    if delta is not None:
                        await self.exchange.write(frame(delta))
        transcript = await lease.run(transcription.transcript)
        self.trace.stages["queue"] = lease.timings.queued
        self.trace.warn(*transcript.warnings)
        return replace(transcript, warnings=tuple(self.trace.warnings))

    def _render(self, transcript: Transcript) -> bytes:
        match self._asked.response_format:
            case ResponseFormat.JSON:
                return encode_json(render_json(transcript, self.context.id))
            case ResponseFormat.VERBOSE_JSON:
                return encode_json(render_verbose(transcript, self._asked, self.dialect, self.context.id))
            case ResponseFormat.TEXT:
                return f"{transcript.text}\n".encode("utf-8", "replace")
            case ResponseFormat.SRT:
                return subtitles.srt(transcript.segments).encode("utf-8", "replace")
            case ResponseFormat.VTT:
                return subtitles.vtt(transcript.segments).encode("utf-8", "replace")
