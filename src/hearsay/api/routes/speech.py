"""Speech: one text from the request to the last byte of sound.

Knows no vendor and no engine. Sound is sent as it is made, at most one step ahead of whoever listens. The
head of the answer goes out with the first bytes of sound, so that all that is wrong before has its own
status; an error after that cuts the connection, or is the last event of a stream.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hearsay.api import openapi
from hearsay.api.middleware.auth import BEARER
from hearsay.api.middleware.dialect_choice import dialect_of
from hearsay.api.middleware.error_responses import error_response
from hearsay.api.middleware.request_trace import trace_of
from hearsay.api.request.exchange import ClientDisconnected, Exchange
from hearsay.api.request.json_body import read_document
from hearsay.api.routes.raw_route import StraightRoute
from hearsay.dialects import PREFIX
from hearsay.dialects.speech_request import Framing, SpeechRequest, parse_speech
from hearsay.dialects.sse import DONE, frame, render_speech_chunk, render_speech_delta, render_speech_done
from hearsay.dialects.vendor_voices import NAMES
from hearsay.domain import BytesLike, SynthesisOptions, Task
from hearsay.errors import UnsupportedOption
from hearsay.models.catalogue import Catalogue
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.model_pool import Lease, ModelPool
from hearsay.text import sentences
from hearsay.tts import voice_selection
from hearsay.tts.synthesis import Synthesis, encoded
from hearsay.tts.voice_selection import VoiceChoice

EVENTS = "text/event-stream"

_LONGEST_ESCAPE = 12
"""Bytes of one character in JSON at worst: two escapes for one outside of the basic plane."""
_OTHER_BYTES = 64 << 10
"""What a body may have beside its text."""


@dataclass(frozen=True, slots=True)
class SpeechDeps:
    """Everything that speech needs, shared by all requests."""

    catalogue: Catalogue
    pool: ModelPool
    admission: Admission
    most_characters: int = 65_536
    """Longest text that is spoken for one request."""
    language: str = "en"
    """Code of the language of a text where nothing tells it."""

    @property
    def body_bytes(self) -> int:
        """Largest body that can hold such a text."""
        return self.most_characters * _LONGEST_ESCAPE + _OTHER_BYTES


def routes(deps: SpeechDeps) -> APIRouter:
    """Make the route that speaks."""
    router = APIRouter(
        prefix=f"{PREFIX}/audio", tags=["audio"], dependencies=[BEARER], route_class=StraightRoute
    )

    @router.post(
        "/speech",
        operation_id="createSpeech",
        responses=openapi.SPEECH,
        openapi_extra=openapi.speech_body(),
        response_class=Response,
    )
    async def create_speech(_: Request) -> Response:
        """Say a text."""
        return SpeechJob(deps)

    return router


class SpeechJob(Response):
    """A response that does its work while it is sent, so that hanging up ends both."""

    def __init__(self, deps: SpeechDeps) -> None:
        self.background = None
        self._deps = deps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, do the work, send the answer."""
        exchange, trace = Exchange(receive, send), trace_of(scope)
        with self._deps.admission.request():
            with trace.stage("upload"):
                body = await read_document(
                    exchange.body(), Headers(scope=scope), max_bytes=self._deps.body_bytes
                )
            asked = parse_speech(body, dialect=dialect_of(scope), most_characters=self._deps.most_characters)
            trace.warn(*asked.warnings)
            await exchange.until_disconnect(SpeechResponse(self._deps, scope, exchange, asked).serve())


class SpeechResponse:
    """One text on its way to sound."""

    def __init__(self, deps: SpeechDeps, scope: Scope, exchange: Exchange, asked: SpeechRequest) -> None:
        self._deps = deps
        self._scope = scope
        self._exchange = exchange
        self._asked = asked
        self._trace = trace_of(scope)

    async def serve(self) -> None:
        """Do the work and answer. Raises what went wrong, but for events that have begun, which say it."""
        try:
            await self._speak()
        except ClientDisconnected:
            raise
        except Exception as error:
            if self._asked.framing is Framing.BYTES or not self._exchange.started:
                raise
            await self._exchange.end(frame(error_response(error, self._scope).body))

    async def _speak(self) -> None:
        cast = await asyncio.to_thread(self._cast)
        trace = self._trace
        with trace.stage("load"):
            lease = await self._deps.pool.lease(cast.card, Task.SYNTHESIZE)
        async with lease:
            trace.model, trace.voice = cast.card.id, cast.voice.id
            synthesis = self._synthesis(cast, lease)
            try:
                await self._send(synthesis, lease)
            finally:
                trace.audio_seconds = synthesis.seconds / synthesis.tempo
                trace.stages["queue"] = lease.timings.queued
        await self._end(trace.audio_seconds)

    def _cast(self) -> VoiceChoice:
        """Find who speaks. Raises what is wrong with the wishes."""
        asked = self._asked
        cast = voice_selection.select_voice(
            self._deps.catalogue,
            model=asked.model,
            voice=asked.voice,
            vendor_voice=asked.persona,
            language=asked.language,
            text=asked.text,
            fallback_language=self._deps.language,
            aliases=self._deps.catalogue.voice_aliases,
            vendor_names=NAMES,
        )
        self._trace.warn(*cast.warnings)
        if asked.instructions is not None:
            if "instructions" not in cast.card.ignores:
                raise UnsupportedOption(
                    f"The model `{cast.card.id}` follows no instructions; leave them out.",
                    param="instructions",
                )
            self._trace.warn(f"instructions were ignored; the model `{cast.card.id}` follows none.")
        return cast

    def _synthesis(self, cast: VoiceChoice, lease: Lease) -> Synthesis:
        exchange, synthesizer = self._exchange, lease.synthesizer
        return Synthesis(
            sentences.split_utterances(
                self._asked.text, language=cast.language, max_length=synthesizer.utterance_characters
            ),
            SynthesisOptions(voice=cast.voice.id, speed=self._asked.speed),
            synthesizer,
            cancelled=lambda: exchange.gone() or lease.cancelled(),
        )

    async def _send(self, synthesis: Synthesis, lease: Lease) -> None:
        begin, stage = time.perf_counter(), "first"
        try:
            steps = lease.stream(lambda: encoded(synthesis, lease.synthesizer, self._asked.format))
            async with aclosing(steps) as sounds:
                async for sound in sounds:
                    if not self._exchange.started:
                        self._trace.stages[stage] = time.perf_counter() - begin
                        begin, stage = time.perf_counter(), "synthesize"
                        await self._start()
                    await self._exchange.write(self._framed(sound))
        finally:
            self._trace.stages[stage] = time.perf_counter() - begin

    async def _start(self) -> None:
        if self._asked.framing is Framing.BYTES:
            await self._exchange.start(200, [("content-type", self._asked.media_type)])
        else:
            await self._exchange.start(200, [("content-type", EVENTS), ("cache-control", "no-cache")])

    def _framed(self, sound: BytesLike) -> BytesLike:
        match self._asked.framing:
            case Framing.BYTES:
                return sound
            case Framing.EVENTS:
                return frame(render_speech_delta(sound))
            case Framing.CHUNKS:
                return frame(render_speech_chunk(sound, self._trace.model or ""))

    async def _end(self, seconds: float) -> None:
        if not self._exchange.started:
            await self._start()
        match self._asked.framing:
            case Framing.BYTES:
                await self._exchange.end()
            case Framing.EVENTS:
                done = render_speech_done(n_characters=len(self._asked.text), seconds=seconds)
                await self._exchange.end(frame(done))
            case Framing.CHUNKS:
                await self._exchange.end(DONE)
