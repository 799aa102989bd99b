"""The composition of the HTTP API: everything is joined here into one ASGI app.

Knows no request. `from_settings` is, with the command line, the only reader of settings.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Lifespan

import hearsay
from hearsay import wiring
from hearsay.api import openapi
from hearsay.api.middleware.auth import AuthMiddleware
from hearsay.api.middleware.dialect_choice import DialectMiddleware
from hearsay.api.middleware.drain_body import DrainBodyMiddleware
from hearsay.api.middleware.error_responses import ErrorMiddleware, answer_http_exception, format_traceback
from hearsay.api.middleware.request_trace import EXPOSED, RequestTraceMiddleware
from hearsay.api.request.multipart_form import FormLimits
from hearsay.api.request.url_fetch import Fetcher, FetchPolicy
from hearsay.api.routes import health, models, pages, speech, transcriptions, voices
from hearsay.api.routes.speech import SpeechDeps
from hearsay.api.routes.transcriptions import Decoders, Detector, TranscriptionDeps, no_detector
from hearsay.api.startup import StartupTask
from hearsay.domain import DecodeSettings
from hearsay.engines import registry
from hearsay.errors import ConfigurationError
from hearsay.media.worker_pool import MediaDecoderPool
from hearsay.models.catalogue import Catalogue
from hearsay.scheduling.model_pool import ModelPool
from hearsay.settings import Settings
from hearsay.storage.api_keys import KeyFile, Keyring

_MEBIBYTE = 1 << 20
_log = structlog.get_logger("hearsay.api")


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may ask of the server, and how it behaves towards them."""

    form: FormLimits = field(default_factory=FormLimits)
    fetch: FetchPolicy = field(default_factory=FetchPolicy)
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call; by default no page may."""
    speech_characters: int = 65_536
    """Longest text that is synthesized for one request."""
    keepalive_seconds: float = 20.0
    """After how much silence an answer that takes long shows that it is being worked on."""


def create_app(
    *,
    catalogue: Catalogue,
    pool: ModelPool,
    decoders: Decoders,
    keys: Keyring,
    limits: Limits | None = None,
    decode: DecodeSettings | None = None,
    detector: Detector = no_detector,
    speech_language: str = "en",
    folder: Path | None = None,
    fetcher: Fetcher | None = None,
    startup_tasks: Sequence[StartupTask] = (),
) -> FastAPI:
    """Return the app; its shutdown closes `pool` and `decoders`.

    `speech_language` is that of a text where nothing tells it, `folder` where uploads are spooled;
    `startup_tasks` run beside serving, `fetcher` stands in for the one that `limits` describe.
    """
    limits = limits or Limits()
    deps = TranscriptionDeps(
        catalogue=catalogue,
        pool=pool,
        decoders=decoders,
        fetcher=fetcher or Fetcher(limits.fetch),
        limits=limits.form,
        decode=decode or DecodeSettings(),
        detector=detector,
        folder=folder,
        keepalive_seconds=limits.keepalive_seconds,
    )
    speech_deps = SpeechDeps(
        catalogue, pool, max_characters=limits.speech_characters, language=speech_language
    )
    app = _framework(lambda _: _lifespan(pool, decoders, startup_tasks), _middleware(keys, limits))
    for router in (
        transcriptions.routes(deps),
        speech.routes(speech_deps),
        voices.routes(catalogue),
        models.routes(catalogue),
        health.routes(catalogue, pool),
        pages.routes(),
    ):
        # Not included but joined: a router within a router matches each path twice.
        app.router.routes.extend(router.routes)
    return app


def from_settings(
    settings: Settings, *, catalogue: Catalogue | None = None, startup_tasks: Sequence[StartupTask] = ()
) -> FastAPI:
    """Return the app that the settings describe. Raises: `ConfigurationError`.

    `startup_tasks` that change a catalogue need that catalogue here, so that requests see their changes.
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
        detector=registry.speech_detector,
        speech_language=settings.speech_language,
        folder=settings.work_folder,
        startup_tasks=startup_tasks,
    )


def _make_folder(folder: Path | None) -> None:
    """Make the folder for uploads, and try it, before the first one comes. Raises: `ConfigurationError`."""
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
        exception_handlers={HTTPException: answer_http_exception},
    )


def _middleware(keys: Keyring, limits: Limits) -> list[Middleware]:
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


@asynccontextmanager
async def _lifespan(
    pool: ModelPool, decoders: Decoders, startup_tasks: Sequence[StartupTask]
) -> AsyncIterator[None]:
    running = [asyncio.create_task(_logged(task, pool)) for task in startup_tasks]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await pool.close()
        await decoders.close()


async def _logged(task: StartupTask, pool: ModelPool) -> None:
    """Run a task; log its failure, which ends nothing else."""
    try:
        await task(pool)
    except Exception as error:
        name = getattr(task, "__name__", str(task))
        _log.error("startup task failed", task=name, traceback=format_traceback(error))
