"""`GET health` and `GET ready`: whether the server runs, and whether it can serve.

Knows no engine: health is answered without asking any, so at once also under load.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

import hearsay
from hearsay.api.middleware.error_responses import error_response
from hearsay.api.request.context import context_of
from hearsay.api.request.json_body import JsonResponse
from hearsay.dialects.schemas import ErrorDetail
from hearsay.domain import ModelCard, Task
from hearsay.errors import ModelNotInstalled, UnsupportedOption

if TYPE_CHECKING:
    from hearsay.models.catalogue import Catalogue
    from hearsay.scheduling.model_pool import ModelPool


class Health(TypedDict):
    """The server lives."""

    status: str
    version: str


class TaskReadiness(TypedDict):
    """Whether requests for one task that name no model can be served."""

    ready: bool
    model: str
    """Id of the model that serves them, or would."""
    reason: str | None
    """Why it cannot, and the command that helps."""


class Ready(TypedDict):
    """The server can transcribe."""

    status: Literal["ready"]
    model: str
    """Id of the model that transcribes for requests that name none."""
    loaded: list[str]
    """Ids of the models in memory."""
    tasks: dict[str, TaskReadiness]


class NotReady(TypedDict):
    """The server cannot transcribe; what else it can do is in `tasks`."""

    error: ErrorDetail
    status: Literal["not_ready"]
    model: str
    loaded: list[str]
    tasks: dict[str, TaskReadiness]


_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "The default model is not installed; `error` says what helps.", "model": NotReady}
}


def routes(catalogue: Catalogue, pool: ModelPool) -> APIRouter:
    """Return the routes about the server."""
    router = APIRouter(tags=["server"])

    @router.get("/health", operation_id="health")
    async def health() -> Health:
        """Tell that the server lives."""
        return {"status": "ok", "version": hearsay.__version__}

    router.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)

    @router.get("/ready", operation_id="ready", responses=_NOT_READY, response_model=Ready)
    async def ready(request: Request) -> Response:
        """Return whether the default models are installed: 503 where none transcribes."""
        found = await asyncio.to_thread(_defaults, catalogue)
        tasks = {
            task.value: TaskReadiness(
                ready=problem is None, model=card.id, reason=problem.message if problem else None
            )
            for task, (card, problem) in found.items()
        }
        card, problem = found[Task.TRANSCRIBE]
        body = {"model": card.id, "loaded": pool.loaded(), "tasks": tasks}
        if problem is None:
            return JsonResponse({"status": "ready", **body})
        failure = error_response(problem, context_of(request.scope))
        return JsonResponse(
            {**failure.body, "status": "not_ready", **body}, failure.status, dict(failure.headers)
        )

    return router


def _defaults(catalogue: Catalogue) -> dict[Task, tuple[ModelCard, ModelNotInstalled | None]]:
    """Return the default model for each task, and why it cannot be loaded.

    A default that the operator chose may lack a task, which is then left out.
    """
    found = {}
    for task in Task:
        with suppress(UnsupportedOption):
            card = catalogue.card(None, task)
            found[task] = (card, catalogue.unready(card))
    return found
