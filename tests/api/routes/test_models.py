"""Models, health, readiness, pages, CORS and what the router says, over a real socket."""

from __future__ import annotations

import asyncio
import socket

import pytest

from hearsay.api.app import Limits
from hearsay.api.server import HttpProtocol
from tests.support.server import Running, Stage, speech

TOGETHER = {"user-agent": "Together/v1 PythonBindings/1.6.0"}


def test_models(server: Running) -> None:
    body = server.http.get("/v1/models").json()
    assert body["object"] == "list"
    models = {model["id"]: model for model in body["data"]}
    assert models["fake"]["installed"] and models["fake"]["default"]
    assert "whisper-1" in models["fake"]["aliases"]
    assert not models["whisper-large-v3"]["installed"]
    assert "openai/whisper-large-v3" in models["whisper-large-v3"]["aliases"]
    assert models["whisper-large-v3-turbo"]["tasks"] == ["transcribe"]
    assert [id_ for id_, model in models.items() if model["default"]] == ["fake", "fake-voice"]
    assert {model["type"] for model in models.values() if "transcribe" in model["tasks"]} == {"transcribe"}
    speaking = {id_: model for id_, model in models.items() if model["type"] == "audio"}
    assert {tuple(model["tasks"]) for model in speaking.values()} == {("speak",)}
    assert speaking["espeak-ng"]["installed"] and "de" in speaking["espeak-ng"]["languages"]
    assert [id_ for id_, model in models.items() if "tts-1" in model["aliases"]] == ["fake-voice"]


def test_models_for_clients_that_want_an_array(server: Running) -> None:
    listed = server.http.get("/v1/models", headers=TOGETHER).json()
    assert listed == server.http.get("/v1/models").json()["data"]
    assert all(model["pricing"]["input"] == 0 for model in listed)


@pytest.mark.parametrize(
    "name", ["whisper-large-v3", "openai/whisper-large-v3", "openai%2Fwhisper-large-v3", "LARGE-V3"]
)
@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/openai/v1/openai/v1"])
def test_one_model(server: Running, prefix: str, name: str) -> None:
    answer = server.http.get(f"{prefix}/models/{name}")
    assert (answer.status_code, answer.json()["id"]) == (200, "whisper-large-v3")


@pytest.mark.parametrize("name", ["whisper-large-v4", "a/b/c", "%00", "ü", "..", "x" * 3000, "v1/models"])
def test_unknown_models(server: Running, name: str) -> None:
    answer = server.http.get(f"/v1/models/{name}") if name != ".." else server.http.get("/v1/models/%2e%2e")
    assert answer.status_code == 404, answer.text
    assert answer.json()["error"]["code"] in ("model_not_found", "not_found")


def test_nearest_names(server: Running) -> None:
    error = server.http.get("/v1/models/whisper-large-v4").json()["error"]
    assert error["code"] == "model_not_found"
    assert "whisper-large-v3" in error["message"]


def test_health(server: Running) -> None:
    assert server.http.head("/health").status_code == 200
    assert server.http.get("/health").json()["status"] == "ok"


def test_ready(server: Running) -> None:
    answer = server.http.get("/ready")
    assert (answer.status_code, answer.json()["model"]) == (200, "fake")
    server.post(file=speech(1))
    assert server.http.get("/ready").json()["loaded"] == ["fake"]


def test_not_ready(stage: Stage) -> None:
    stage.default = "whisper-large-v3"
    with stage.open() as server:
        answer = server.http.get("/ready")
        assert server.http.get("/health").status_code == 200
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_installed")


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


def test_documentation_tells_of_parameters_and_of_no_status_that_nobody_gets(server: Running) -> None:
    paths = server.http.get("/openapi.json").json()["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    assert {status for operation in operations for status in operation["responses"]} >= {"200", "400"}
    assert not any("422" in operation["responses"] for operation in operations)
    for path, place in (("/v1/models/{model}", "path"), ("/v1/voices", "query")):
        [parameter] = paths[path]["get"]["parameters"]
        assert (parameter["name"], parameter["in"]) == ("model", place)


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


def test_unknown_paths(server: Running) -> None:
    for path in ("/nowhere", "/v1", "/v1/", "/v1/audio", "/openai", "/v1/audio/speeches", "/%ff"):
        answer = server.http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/audio/transcriptions", "POST"),
        ("PUT", "/v1/audio/translations", "POST"),
        ("GET", "/v1/audio/speech", "POST"),
        ("POST", "/v1/voices", "GET"),
        ("PUT", "/v1/audio/voices", "GET, POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/fake", "GET"),
        ("OPTIONS", "/v1/models", "GET"),
        ("TRACE", "/health", "GET"),
        ("PATCH", "/", "GET"),
    ],
)
def test_wrong_methods(server: Running, method: str, path: str, allow: str) -> None:
    answer = server.http.request(method, path, content=b"{}" if method in ("PUT", "POST", "PATCH") else None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allow


def test_trailing_slashes_and_empty_json_bodies(server: Running) -> None:
    headers = {"content-type": "application/json"}
    assert server.http.get("/v1/models", headers=headers).status_code == 200
    assert server.http.get("/v1/models/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("", 415),
        ("multipart/form-data", 400),
        ("application/json", 400),
        ("application/x-www-form-urlencoded", 400),
    ],
)
def test_bodies_that_are_no_forms(server: Running, content_type: str, status: int) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = server.http.post("/v1/audio/transcriptions", content=b"hello", headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_unknown_dialect(server: Running) -> None:
    answer = server.http.get("/v1/models?dialect=klingon")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "dialect")


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http(server: Running, request_: bytes) -> None:
    host, port = server.http.base_url.host, server.http.base_url.port
    assert port is not None
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(request_)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    assert b'"code":"invalid_http"' in body


def test_headers_that_never_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearsay.api.server.HEADER_SECONDS", 0.05)
    with stage.open() as server:
        host, port = server.http.base_url.host, server.http.base_url.port
        assert port is not None
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx: ")
            assert connection.recv(65536) == b""


def test_bodies_do_not_wait_for_heads_to_be_acknowledged(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: list[int] = []
    made = HttpProtocol.connection_made

    def watching(self: HttpProtocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        accepted = transport.get_extra_info("socket")
        options.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(HttpProtocol, "connection_made", watching)
    with stage.open() as server:
        server.http.get("/health")
    assert options == [1]


ORIGIN = {"origin": "https://app.example"}


def test_pages_of_others_may_not_call_by_default(server: Running) -> None:
    assert "access-control-allow-origin" not in server.http.get("/v1/models", headers=ORIGIN).headers


def test_pages_of_friends_may_call(stage: Stage) -> None:
    stage.limits = Limits(cors_origins=("https://app.example",))
    asks = ORIGIN | {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-stainless-lang,x-stainless-retry-count",
    }
    with stage.open() as server:
        preflight = server.http.options("/v1/audio/transcriptions", headers=asks)
        answer = server.http.get("/v1/models/none", headers=ORIGIN)
        foreign = server.http.get("/v1/models", headers={"origin": "https://evil.example"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-stainless-lang" in preflight.headers["access-control-allow-headers"]
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "x-should-retry", "retry-after", "retry-after-ms"} <= set(exposed)
    assert "access-control-allow-origin" not in foreign.headers
