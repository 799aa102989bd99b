"""What the server says about itself: its models, whether it lives, whether it can serve.

Knows no engine: health is answered without asking any, so that it is told at once also under load.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

import hearsay
from hearsay.api.auth import BEARER
from hearsay.api.mounting import dialect_of
from hearsay.api.openapi import MODEL, MODEL_OF, MODELS, READY
from hearsay.dialects import PREFIX
from hearsay.dialects.answers import render_model, render_models
from hearsay.dialects.bodies import ModelBody
from hearsay.dialects.wire import encode
from hearsay.domain import ModelCard
from hearsay.errors import ModelNotInstalled
from hearsay.models import Catalogue
from hearsay.pool import ModelPool

JSON = "application/json"


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


def state(catalogue: Catalogue, pool: ModelPool) -> APIRouter:
    """Make the routes about the server."""
    router = APIRouter(tags=["server"])

    @router.get("/health", operation_id="health")
    async def health() -> Health:
        """Tell that the server lives."""
        return {"status": "ok", "version": hearsay.__version__}

    router.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)

    @router.get("/ready", operation_id="ready", responses=READY)
    async def ready() -> Ready:
        """Tell whether the default model is loaded or can be."""
        card = await asyncio.to_thread(_servable, catalogue)
        return {"status": "ready", "model": card.id, "loaded": pool.loaded()}

    return router


def models(catalogue: Catalogue) -> APIRouter:
    """Make the routes about models."""
    router = APIRouter(tags=["models"], dependencies=[BEARER])

    @router.get(f"{PREFIX}/models", operation_id="listModels", responses=MODELS)
    async def list_models(request: Request) -> Response:
        """List all known models, installed or not."""
        found = await asyncio.to_thread(lambda: [_described(catalogue, card) for card in catalogue.cards()])
        return Response(encode(render_models(found, dialect_of(request.scope))), media_type=JSON)

    @router.get(
        f"{PREFIX}/models/{{model:path}}",
        operation_id="retrieveModel",
        responses=MODEL,
        openapi_extra=MODEL_OF,
    )
    async def retrieve_model(request: Request) -> Response:
        """Describe one model, by its id or any other name that it has; slashes may be raw or encoded."""
        model = request.path_params["model"]
        body = await asyncio.to_thread(lambda: _described(catalogue, catalogue.named(model)))
        return Response(encode(body), media_type=JSON)

    return router


def _described(catalogue: Catalogue, card: ModelCard) -> ModelBody:
    names = (*card.aliases, *catalogue.aliases, *catalogue.stand_ins)
    return render_model(
        replace(card, aliases=tuple(name for name in names if catalogue.named(name).id == card.id)),
        installed=catalogue.installed(card),
        default=catalogue.is_default(card),
    )


def _servable(catalogue: Catalogue) -> ModelCard:
    card = catalogue.card(None)
    if not catalogue.installed(card):
        raise ModelNotInstalled(f"The default model `{card.id}` is not installed.")
    return card
