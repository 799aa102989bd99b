"""What the server says about itself: its models, whether it lives, whether it can serve.

Knows no engine: health is answered without asking any, so that it is told at once also under load.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

import hearsay
from hearsay.api.boundary import failure_of, respond
from hearsay.api.mounting import dialect_of
from hearsay.api.openapi import MODEL, MODELS, READY
from hearsay.dialects import PREFIX
from hearsay.dialects.answers import render_model, render_models
from hearsay.dialects.bodies import ModelBody
from hearsay.dialects.wire import encode
from hearsay.domain import ModelCard
from hearsay.errors import HearsayError, ModelNotInstalled
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


def routes(catalogue: Catalogue, pool: ModelPool) -> APIRouter:
    """Make the routes."""
    router = APIRouter()

    @router.get("/health", tags=["server"])
    async def health() -> Health:
        """Tell that the server lives."""
        return {"status": "ok", "version": hearsay.__version__}

    @router.get("/ready", tags=["server"], responses=READY)
    async def ready(request: Request) -> Any:
        """Tell whether the default model is loaded or can be."""
        try:
            card = await asyncio.to_thread(_servable, catalogue)
        except HearsayError as error:
            return respond(failure_of(error, request.scope))
        answer: Ready = {"status": "ready", "model": card.id, "loaded": pool.loaded()}
        return Response(encode(answer), media_type=JSON)

    @router.get(f"{PREFIX}/models", tags=["models"], responses=MODELS)
    async def list_models(request: Request) -> Response:
        """List all known models, installed or not."""
        models = await asyncio.to_thread(lambda: [_described(catalogue, card) for card in catalogue.cards()])
        return Response(encode(render_models(models, dialect_of(request.scope))), media_type=JSON)

    @router.get(f"{PREFIX}/models/{{model:path}}", tags=["models"], responses=MODEL)
    async def retrieve_model(model: str) -> Response:
        """Describe one model, by its id or any other name that it has; slashes may be raw or encoded."""
        body = await asyncio.to_thread(lambda: _described(catalogue, catalogue.card(model)))
        return Response(encode(body), media_type=JSON)

    return router


def _described(catalogue: Catalogue, card: ModelCard) -> ModelBody:
    names = (*card.aliases, *catalogue.aliases, *catalogue.stand_ins)
    return render_model(
        replace(card, aliases=tuple(name for name in names if catalogue.card(name).id == card.id)),
        installed=catalogue.installed(card),
        default=card.id == catalogue.card(None).id,
    )


def _servable(catalogue: Catalogue) -> ModelCard:
    card = catalogue.card(None)
    if not catalogue.installed(card):
        raise ModelNotInstalled(f"The default model `{card.id}` is not installed.")
    return card
