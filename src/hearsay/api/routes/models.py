"""`GET models` and `GET models/{id}`: what is installed and what can be.

Knows no engine.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fastapi import APIRouter, Request, Response

from hearsay.api.middleware.auth import BEARER
from hearsay.api.middleware.dialect_choice import dialect_of
from hearsay.api.openapi import MODEL, MODEL_OF, MODELS
from hearsay.dialects import PREFIX
from hearsay.dialects.json_bytes import encode
from hearsay.dialects.rendering import render_model, render_models
from hearsay.dialects.schemas import ModelBody
from hearsay.domain import ModelCard
from hearsay.models.catalogue import Catalogue

JSON = "application/json"


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
    names = (*card.aliases, *catalogue.aliases, *catalogue.hosted_names)
    return render_model(
        replace(card, aliases=tuple(name for name in names if catalogue.named(name).id == card.id)),
        installed=catalogue.installed(card),
        default=catalogue.is_default(card),
    )
