"""`GET voices`: the voices of all installed models, or of one.

Knows no engine: the catalogue lists voices without loading a model. The names of vendors' voices, which work
too, are not listed: they are other names for these.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from hearsay.api.middleware.auth import BEARER
from hearsay.api.openapi import VOICES, VOICES_OF
from hearsay.api.request.json_body import JsonResponse
from hearsay.dialects import PREFIX
from hearsay.dialects.rendering import render_voices
from hearsay.dialects.schemas import VoiceList
from hearsay.domain import Task
from hearsay.models.catalogue import Catalogue


def routes(catalogue: Catalogue) -> APIRouter:
    """Return the routes about voices; two paths mean the same list."""
    router = APIRouter(prefix=PREFIX, tags=["voices"], dependencies=[BEARER])

    # Parameters that the framework reads would come with status 422, which no client gets here.
    @router.get("/voices", operation_id="listVoices", responses=VOICES, openapi_extra=VOICES_OF)
    async def list_voices(request: Request) -> Response:
        """List the voices of all installed models, or of one: by its id or any other name that it has."""
        return JsonResponse(await asyncio.to_thread(_body, catalogue, request.query_params.get("model")))

    @router.api_route("/audio/voices", methods=["GET", "POST"], include_in_schema=False)
    async def list_or_create_voices(request: Request) -> Response:
        """List the same where a vendor also makes voices; here they come with models."""
        if request.method == "POST":
            raise HTTPException(404)
        return await list_voices(request)

    return router


def _body(catalogue: Catalogue, model: str | None) -> VoiceList:
    cards = catalogue.synthesizers() if model is None else [catalogue.card(model, Task.SYNTHESIZE)]
    return render_voices({card.id: catalogue.voices(card) for card in cards})
