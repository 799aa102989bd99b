"""Speech: one text from the request to the last byte of audio.

Knows no vendor and no engine. Audio is sent as it is synthesized, at most one step ahead of the client. The
head of the answer goes out with the first bytes of audio: all that is wrong before has its own status.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from hearsay.api import openapi
from hearsay.api.middleware.auth import BEARER
from hearsay.api.request.json_body import read_document
from hearsay.api.request.streaming import StreamedResponse
from hearsay.dialects import PREFIX
from hearsay.dialects.speech_request import Framing, parse_speech
from hearsay.dialects.sse import DONE, frame, render_speech_chunk, render_speech_delta, render_speech_done
from hearsay.dialects.vendor_voices import NAMES
from hearsay.domain import BytesLike, SynthesisOptions, Task
from hearsay.errors import UnsupportedOption
from hearsay.text import sentences
from hearsay.tts import voice_selection
from hearsay.tts.synthesis import Synthesis, encoded
from hearsay.tts.voice_selection import VoiceChoice

if TYPE_CHECKING:
    from hearsay.models.catalogue import Catalogue
    from hearsay.scheduling.model_pool import Lease, ModelPool

_LONGEST_ESCAPE = 12
"""Bytes of one character in JSON at worst: two escapes for one outside of the basic plane."""
_OTHER_BYTES = 64 << 10
"""What a body may have beside its text."""


@dataclass(frozen=True, slots=True)
class SpeechDeps:
    """Everything that speech needs, shared by all requests."""

    catalogue: Catalogue
    pool: ModelPool
    max_characters: int = 65_536
    """Longest text that is synthesized for one request."""
    language: str = "en"
    """Code of the language of a text where nothing tells it."""

    @property
    def body_bytes(self) -> int:
        """Largest body that can hold such a text."""
        return self.max_characters * _LONGEST_ESCAPE + _OTHER_BYTES


def routes(deps: SpeechDeps) -> APIRouter:
    """Return the route that synthesizes."""
    router = APIRouter(prefix=f"{PREFIX}/audio", tags=["audio"], dependencies=[BEARER])

    @router.post(
        "/speech",
        operation_id="createSpeech",
        responses=openapi.SPEECH,
        openapi_extra=openapi.speech_body(),
        response_class=Response,
    )
    async def create_speech(_: Request) -> Response:
        """Say a text."""
        return SpeechResponse(deps)

    return router


class SpeechResponse(StreamedResponse):
    """The answer to one request for speech."""

    def __init__(self, deps: SpeechDeps) -> None:
        super().__init__(deps.pool.admission)
        self._deps = deps

    async def read(self, headers: Headers, resources: ExitStack) -> None:
        """Read and parse the body."""
        deps = self._deps
        body = await read_document(self.exchange.body(), headers, max_bytes=deps.body_bytes)
        self._asked = parse_speech(body, dialect=self.dialect, max_characters=deps.max_characters)
        self.trace.warn(*self._asked.warnings)
        self.media_type = self._asked.media_type
        self.is_event_stream = self._asked.framing is not Framing.BYTES

    async def work(self) -> None:
        """Synthesize the text and answer."""
        choice = await asyncio.to_thread(self._choose_voice)
        trace = self.trace
        with trace.stage("load"):
            lease = await self._deps.pool.lease(choice.card, Task.SYNTHESIZE, context=self.context)
        async with lease:
            trace.model, trace.voice = choice.card.id, choice.voice.id
            synthesis = self._synthesis(choice, lease)
            try:
                await self._send(synthesis, lease)
            finally:
                trace.audio_seconds = synthesis.seconds / synthesis.tempo
        await self.start()
        await self.exchange.end(self._last(trace.audio_seconds))

    def _choose_voice(self) -> VoiceChoice:
        """Find the model and the voice. Raises what is wrong with the options."""
        asked = self._asked
        choice = voice_selection.select_voice(
            self._deps.catalogue,
            model=asked.model,
            voice=asked.voice,
            vendor_voice=asked.vendor_voice,
            language=asked.language,
            text=asked.text,
            fallback_language=self._deps.language,
            aliases=self._deps.catalogue.voice_aliases,
            vendor_names=NAMES,
        )
        self.trace.warn(*choice.warnings)
        if asked.instructions is not None:
            if "instructions" not in choice.card.ignores:
                raise UnsupportedOption(
                    f"The model `{choice.card.id}` follows no instructions; leave them out.",
                    param="instructions",
                )
            self.trace.warn(f"instructions were ignored; the model `{choice.card.id}` follows none.")
        return choice

    def _synthesis(self, choice: VoiceChoice, lease: Lease) -> Synthesis:
        synthesizer = lease.synthesizer
        return Synthesis(
            sentences.split_utterances(
                self._asked.text, language=choice.language, max_length=synthesizer.utterance_characters
            ),
            SynthesisOptions(voice=choice.voice.id, speed=self._asked.speed),
            synthesizer,
            cancelled=lease.cancelled,
        )

    async def _send(self, synthesis: Synthesis, lease: Lease) -> None:
        begin, stage = time.perf_counter(), "first"
        try:
            steps = lease.stream(lambda: encoded(synthesis, lease.synthesizer, self._asked.format))
            async with aclosing(steps) as blocks:
                async for block in blocks:
                    if not self.exchange.started:
                        self.trace.stages[stage] = time.perf_counter() - begin
                        begin, stage = time.perf_counter(), "synthesize"
                        await self.start()
                    await self.exchange.write(self._framed(block))
        finally:
            self.trace.stages[stage] = time.perf_counter() - begin

    def _framed(self, block: BytesLike) -> BytesLike:
        match self._asked.framing:
            case Framing.BYTES:
                return block
            case Framing.EVENTS:
                return frame(render_speech_delta(block))
            case Framing.CHUNKS:
                return frame(render_speech_chunk(block, self.trace.model or ""))

    def _last(self, seconds: float) -> bytes:
        match self._asked.framing:
            case Framing.BYTES:
                return b""
            case Framing.EVENTS:
                return frame(render_speech_done(n_characters=len(self._asked.text), seconds=seconds))
            case Framing.CHUNKS:
                return DONE
