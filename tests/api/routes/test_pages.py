"""The pages for the browser: they need nothing from elsewhere, and document everything."""

from __future__ import annotations

import pytest

from tests.support.server import Running


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_need_nothing_from_elsewhere(server: Running, path: str) -> None:
    answer = server.http.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text
    assert answer.text.count("http://") == answer.text.count(server.url)
    assert "https://" not in answer.text


def test_documentation_shows_names_as_code(server: Running) -> None:
    page = server.http.get("/docs").text
    assert "`" not in page
    assert "<code>x-request-id</code>" in page


def test_greeting_has_lines_to_try(server: Running) -> None:
    page = server.http.get("/").text
    assert f"curl {server.url}/v1/audio/transcriptions -F file=@" in page
    assert f"curl {server.url}/v1/audio/speech -H" in page


def test_documentation_has_every_route_and_field(server: Running) -> None:
    document = server.http.get("/openapi.json").json()
    page = server.http.get("/docs").text
    assert len(document["paths"]) == 8
    for path, kind in (
        ("/v1/audio/transcriptions", "multipart/form-data"),
        ("/v1/audio/speech", "application/json"),
    ):
        body = document["paths"][path]["post"]["requestBody"]["content"][kind]
        for text in (*document["paths"], *body["schema"]["properties"]):
            assert f"{text}</code>" in page
