"""Which voices there are.

Knows no engine: the catalogue lists voices without loading a model. Names of vendors' voices are not listed,
though they work: they are other names for these.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from hearsay.api.auth import BEARER
from hearsay.api.openapi import NO_VOICES_MADE, VOICES
from hearsay.dialects import PREFIX
from hearsay.dialects.answers import render_voices
from hearsay.dialects.bodies import VoiceList
from hearsay.dialects.wire import encode
from hearsay.domain import Task
from hearsay.models import Catalogue

JSON = "application/json"


def routes(catalogue: Catalogue) -> APIRouter:
    """Make the routes about voices; two paths mean the same list."""
    router = APIRouter(prefix=PREFIX, tags=["voices"], dependencies=[BEARER])

    async def list_voices(model: str | None = None) -> Response:
        """List the voices of all installed models, or of one: by its id or any other name that it has."""
        body = await asyncio.to_thread(_listed, catalogue, model)
        return Response(encode(body), media_type=JSON)

    async def create_voice() -> Response:
        """Refuse to make a voice: voices come with models here."""
        raise HTTPException(404)

    router.add_api_route("/voices", list_voices, operation_id="listVoices", responses=VOICES)
    router.add_api_route("/audio/voices", list_voices, operation_id="listAudioVoices", responses=VOICES)
    router.add_api_route(
        "/audio/voices",
        create_voice,
        methods=["POST"],
        operation_id="createVoice",
        responses=NO_VOICES_MADE,
        status_code=404,
        response_class=Response,
    )
    return router


def _listed(catalogue: Catalogue, model: str | None) -> VoiceList:
    cards = catalogue.speakers() if model is None else [catalogue.card(model, Task.SPEAK)]
    return render_voices({card.id: catalogue.voices(card) for card in cards})
