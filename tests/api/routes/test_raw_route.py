"""Straight routes: documented and matched like any other, served without anything in between."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.testclient import TestClient

from hearsay.api.routes.raw_route import StraightRoute


def made() -> FastAPI:
    router = APIRouter(prefix="/v1", route_class=StraightRoute)

    @router.post("/things/{name}", operation_id="makeThing")
    async def make_thing(request: Request) -> Response:
        """Make a thing."""
        return Response(f"{request.path_params['name']}: {(await request.body()).decode()}", 201)

    app = FastAPI()
    app.router.routes.extend(router.routes)
    return app


def test_an_endpoint_gets_the_request_and_gives_the_response() -> None:
    with TestClient(made()) as client:
        answer = client.post("/v1/things/one", content=b"body")
    assert (answer.status_code, answer.text) == (201, "one: body")


def test_other_methods_are_refused_with_those_that_there_are() -> None:
    with TestClient(made()) as client:
        answer = client.get("/v1/things/one")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_it_is_in_the_document() -> None:
    operation = made().openapi()["paths"]["/v1/things/{name}"]["post"]
    assert (operation["operationId"], operation["description"]) == ("makeThing", "Make a thing.")
