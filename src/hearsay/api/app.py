"""The composition root: rooms are joined here into one ASGI app.

Knows no request. `from_settings` is, with the command line, the only reader of settings.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Lifespan

import hearsay
from hearsay import wiring
from hearsay.api import openapi
from hearsay.api.middleware.auth import BEARER, AuthMiddleware, Keys
from hearsay.api.middleware.dialect_choice import DialectMiddleware
from hearsay.api.middleware.drain_body import DrainBodyMiddleware
from hearsay.api.middleware.error_responses import (
    ErrorMiddleware,
    answer_http_exception,
    answer_validation_error,
    format_traceback,
)
from hearsay.api.middleware.request_trace import EXPOSED, RequestTraceMiddleware
from hearsay.api.request.multipart_form import FormLimits
from hearsay.api.request.url_fetch import Fetcher, FetchPolicy
from hearsay.api.routes import health, models, pages, speech, voices
from hearsay.api.routes.raw_route import StraightRoute
from hearsay.api.routes.speech import SpeechDeps
from hearsay.api.routes.transcriptions import (
    Decoders,
    Detector,
    TranscriptionDeps,
    TranscriptionJob,
    no_detector,
)
from hearsay.dialects import PREFIX
from hearsay.domain import DecodeSettings, Task
from hearsay.errors import ConfigurationError
from hearsay.media.worker_pool import MediaDecoderPool
from hearsay.models.catalogue import Catalogue
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.model_pool import ModelPool
from hearsay.settings import Settings
from hearsay.storage.api_keys import KeyFile, Keyring

StartupTask = Callable[[ModelPool], Awaitable[None]]
"""Something to do beside serving, from the server's start; a failure is logged and ends only the chore."""

_MEBIBYTE = 1 << 20
_log = structlog.get_logger("hearsay.api")


@dataclass(frozen=True, slots=True)
class Limits:
    """What callers may ask of the server, and how it behaves towards them."""

    form: FormLimits = field(default_factory=FormLimits)
    fetch: FetchPolicy = field(default_factory=FetchPolicy)
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call; by default no page may."""
    max_requests: int = 256
    """Requests for transcripts or speech that may be in hand at once, those being uploaded included."""
    speech_characters: int = 65_536
    """Longest text that is spoken for one request."""
    pulse_seconds: float = 20.0
    """After how much silence an answer that takes long shows that it is alive."""


def create_app(
    *,
    catalogue: Catalogue,
    pool: ModelPool,
    decoders: Decoders,
    keys: Keys,
    limits: Limits | None = None,
    decode: DecodeSettings | None = None,
    detector: Detector = no_detector,
    speech_language: str = "en",
    folder: Path | None = None,
    fetcher: Fetcher | None = None,
    chores: Sequence[StartupTask] = (),
) -> FastAPI:
    """Join everything into an app; its shutdown closes `pool` and `decoders`.

    `speech_language` is that of a text where nothing tells it, `folder` where uploads are spooled; `chores`
    run beside serving, `fetcher` stands in for the one that `limits` make.
    """
    limits = limits or Limits()
    admission = Admission(max_requests=limits.max_requests)
    deps = TranscriptionDeps(
        catalogue=catalogue,
        pool=pool,
        decoders=decoders,
        admission=admission,
        fetcher=fetcher or Fetcher(limits.fetch),
        limits=limits.form,
        decode=decode or DecodeSettings(),
        detector=detector,
        folder=folder,
        pulse_seconds=limits.pulse_seconds,
    )
    speech_deps = SpeechDeps(
        catalogue, pool, admission, most_characters=limits.speech_characters, language=speech_language
    )
    app = _framework(lambda _: _life(pool, decoders, chores), _middleware(keys, limits))
    for router in (
        _audio_routes(deps),
        speech.routes(speech_deps),
        voices.routes(catalogue),
        models.models(catalogue),
        health.state(catalogue, pool),
        pages.routes(),
    ):
        # Not included but joined: a router within a router matches each path twice.
        app.router.routes.extend(router.routes)
    return app


def from_settings(
    settings: Settings, *, catalogue: Catalogue | None = None, chores: Sequence[StartupTask] = ()
) -> FastAPI:
    """Make the app that the settings describe. Raises: `ConfigurationError`.

    Chores that change a catalogue give theirs, so that requests see at once what they did.
    """
    catalogue = catalogue or wiring.catalogue(settings)
    _make_folder(settings.work_folder)
    limits = Limits(
        form=FormLimits(upload_bytes=round(settings.upload_limit_mb * _MEBIBYTE)),
        fetch=FetchPolicy(
            max_bytes=round(settings.fetch_limit_mb * _MEBIBYTE),
            timeout=settings.fetch_timeout_seconds,
            max_redirects=settings.fetch_max_redirects,
            allow_private=settings.fetch_allow_private,
        ),
        cors_origins=settings.cors_origins,
        max_requests=settings.max_requests,
        speech_characters=settings.speech_limit_characters,
    )
    return create_app(
        catalogue=catalogue,
        pool=wiring.pool(settings, catalogue),
        decoders=MediaDecoderPool(
            n_workers=settings.decode_workers,
            timeout=settings.decode_timeout_seconds,
            folder=settings.work_folder,
            max_duration=settings.max_duration_seconds,
        ),
        keys=Keyring(KeyFile(settings.keys_file), settings.all_api_keys),
        limits=limits,
        decode=wiring.decode_settings(settings),
        detector=wiring.detector_for,
        speech_language=settings.speech_language,
        folder=settings.work_folder,
        chores=chores,
    )


def _make_folder(folder: Path | None) -> None:
    """Make sure that uploads have a place to go to, before the first one comes."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise ConfigurationError(f"The work folder {folder} cannot be used: {error.strerror}.") from error


def _framework(lifespan: Lifespan[FastAPI], middleware: Sequence[Middleware]) -> FastAPI:
    return FastAPI(
        title="Hearsay",
        version=hearsay.__version__,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=middleware,
        exception_handlers={
            HTTPException: answer_http_exception,
            RequestValidationError: answer_validation_error,
        },
    )


def _middleware(keys: Keys, limits: Limits) -> list[Middleware]:
    """List what surrounds the routes, outermost first."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=limits.cors_origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
    )
    return [
        Middleware(RequestTraceMiddleware),
        Middleware(DrainBodyMiddleware),
        *([cors] if limits.cors_origins else []),
        Middleware(ErrorMiddleware),
        Middleware(DialectMiddleware),
        Middleware(AuthMiddleware, keys=keys),
    ]


def _audio_routes(deps: TranscriptionDeps) -> APIRouter:
    router = APIRouter(
        prefix=f"{PREFIX}/audio", tags=["audio"], dependencies=[BEARER], route_class=StraightRoute
    )

    @router.post(
        "/transcriptions",
        operation_id="createTranscription",
        responses=openapi.TRANSCRIPT,
        openapi_extra=openapi.request_body(Task.TRANSCRIBE),
        response_class=Response,
    )
    async def create_transcription(_: Request) -> Response:
        """Write what is said in a recording, in the language in which it is said."""
        return TranscriptionJob(deps, Task.TRANSCRIBE)

    @router.post(
        "/translations",
        operation_id="createTranslation",
        responses=openapi.TRANSCRIPT,
        openapi_extra=openapi.request_body(Task.TRANSLATE),
        response_class=Response,
    )
    async def create_translation(_: Request) -> Response:
        """Write in English what is said in a recording."""
        return TranscriptionJob(deps, Task.TRANSLATE)

    return router


@asynccontextmanager
async def _life(pool: ModelPool, decoders: Decoders, chores: Sequence[StartupTask]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_watched(chore, pool)) for chore in chores]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await pool.close()
        await decoders.close()


async def _watched(chore: StartupTask, pool: ModelPool) -> None:
    try:
        await chore(pool)
    except Exception as error:
        _log.error(
            "chore failed", chore=getattr(chore, "__name__", str(chore)), traceback=format_traceback(error)
        )
