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
from hearsay.api.request.json_body import JsonResponse
from hearsay.dialects import PREFIX
from hearsay.dialects.rendering import render_model, render_models
from hearsay.dialects.schemas import ModelBody
from hearsay.domain import ModelCard
from hearsay.models.catalogue import Catalogue


def routes(catalogue: Catalogue) -> APIRouter:
    """Return the routes about models."""
    router = APIRouter(tags=["models"], dependencies=[BEARER])

    @router.get(f"{PREFIX}/models", operation_id="listModels", responses=MODELS)
    async def list_models(request: Request) -> Response:
        """List all known models, installed or not."""
        bodies = await asyncio.to_thread(lambda: [_body(catalogue, card) for card in catalogue.cards()])
        return JsonResponse(render_models(bodies, dialect_of(request.scope)))

    @router.get(
        f"{PREFIX}/models/{{model:path}}",
        operation_id="retrieveModel",
        responses=MODEL,
        openapi_extra=MODEL_OF,
    )
    async def retrieve_model(request: Request) -> Response:
        """Describe one model, by its id or any other name that it has; slashes may be raw or encoded."""
        model = request.path_params["model"]
        return JsonResponse(await asyncio.to_thread(lambda: _body(catalogue, catalogue.named(model))))

    return router


def _body(catalogue: Catalogue, card: ModelCard) -> ModelBody:
    names = (*card.aliases, *catalogue.aliases, *catalogue.hosted_names)
    return render_model(
        replace(card, aliases=tuple(name for name in names if catalogue.named(name).id == card.id)),
        installed=catalogue.installed(card),
        default=catalogue.is_default(card),
    )
