"""`GET health` and `GET ready`: whether the server runs, and whether it can serve.

Knows no engine: health is answered without asking any, so at once also under load.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from typing_extensions import TypedDict

import hearsay
from hearsay.api.openapi import READY
from hearsay.domain import ModelCard
from hearsay.errors import ModelNotInstalled
from hearsay.models.catalogue import Catalogue
from hearsay.scheduling.model_pool import ModelPool


class Health(TypedDict):
    """The server lives."""

    status: str
    version: str


class Ready(TypedDict):
    """The server can serve."""

    status: str
    model: str
    """Id of the model that serves requests that name none."""
    loaded: list[str]
    """Ids of the models in memory."""


def routes(catalogue: Catalogue, pool: ModelPool) -> APIRouter:
    """Return the routes about the server."""
    router = APIRouter(tags=["server"])

    @router.get("/health", operation_id="health")
    async def health() -> Health:
        """Tell that the server lives."""
        return {"status": "ok", "version": hearsay.__version__}

    router.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)

    @router.get("/ready", operation_id="ready", responses=READY)
    async def ready() -> Ready:
        """Return whether the default model is loaded or can be."""
        card = await asyncio.to_thread(_servable, catalogue)
        return {"status": "ready", "model": card.id, "loaded": pool.loaded()}

    return router


def _servable(catalogue: Catalogue) -> ModelCard:
    card = catalogue.card(None)
    if not catalogue.installed(card):
        raise ModelNotInstalled(f"The default model `{card.id}` is not installed.")
    return card
