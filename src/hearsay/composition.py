"""From settings to a catalogue and a pool: the wiring that the server and the command line share.

Knows neither HTTP nor the terminal; whoever else needs these objects makes them with plain named arguments.
"""

from __future__ import annotations

from hearsay.domain import DecodeSettings
from hearsay.hub import Hub
from hearsay.models import Catalogue, Runtime
from hearsay.pool import ModelPool
from hearsay.settings import Settings


def catalogue(settings: Settings) -> Catalogue:
    """Make the catalogue that the settings describe. Raises: `ConfigurationError`."""
    return Catalogue(
        models_folder=settings.models_folder,
        local=settings.models,
        aliases=settings.aliases,
        default=settings.model,
        hub=Hub(endpoint=settings.hub_endpoint, allowed=settings.may_download),
        runtime=Runtime(
            device=settings.device,
            device_index=settings.device_index,
            compute_type=settings.compute_type,
            cpu_threads=settings.cpu_threads,
        ),
        offer_fake=settings.fake_engine,
    )


def pool(settings: Settings, models: Catalogue) -> ModelPool:
    """Make the pool that serves from a catalogue; needs a running event loop."""
    return ModelPool(
        models,
        max_waiting=settings.max_waiting,
        max_loaded=settings.max_loaded_models,
        idle_seconds=settings.idle_unload_seconds,
    )


def decode_settings(settings: Settings) -> DecodeSettings:
    """Give the operator's choices about the search of window recognisers."""
    return DecodeSettings(
        temperatures=settings.temperatures,
        condition_on_previous_text=settings.condition_on_previous_text,
        beam_size=settings.beam_size,
        best_of=settings.best_of,
    )
