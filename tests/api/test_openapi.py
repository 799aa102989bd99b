"""The OpenAPI document: parameters, bodies, answers."""

from __future__ import annotations

from hearsay.dialects import speech_request
from tests.support.server import Running


def test_documentation_tells_of_parameters_and_of_no_status_that_nobody_gets(server: Running) -> None:
    paths = server.http.get("/openapi.json").json()["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    assert {status for operation in operations for status in operation["responses"]} >= {"200", "400"}
    assert not any("422" in operation["responses"] for operation in operations)
    for path, place in (("/v1/models/{model}", "path"), ("/v1/voices", "query")):
        [parameter] = paths[path]["get"]["parameters"]
        assert (parameter["name"], parameter["in"]) == ("model", place)


def test_errors_have_the_one_body(server: Running) -> None:
    document = server.http.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/NotReady" if path == "/ready" else "/ErrorBody"), path


def test_shapes_are_written_out_inside_the_answers(server: Running) -> None:
    paths = server.http.get("/openapi.json").json()["paths"]
    content = paths["/v1/audio/transcriptions"]["post"]["responses"]["200"]["content"]
    verbose, short = content["application/json"]["schema"]["anyOf"]
    assert "$ref" not in str(content)
    assert {"segments", "words"} == verbose["properties"].keys() & {"segments", "words"}
    assert short["properties"].keys() < verbose["properties"].keys()
    assert set(content) == {"application/json", "text/plain", "text/event-stream"}


def test_the_fields_that_are_read_are_documented(server: Running) -> None:
    paths = server.http.get("/openapi.json").json()["paths"]
    body = paths["/v1/audio/speech"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"].keys() == speech_request._KNOWN
    assert body["required"] == ["input", "voice"]
    for task in ("transcriptions", "translations"):
        kinds = paths[f"/v1/audio/{task}"]["post"]["requestBody"]["content"]
        form = kinds["multipart/form-data"]["schema"]["properties"]
        assert form.keys() - {"file"} == kinds["application/json"]["schema"]["properties"].keys()
