"""Made-up requests from our own OpenAPI document: no failure, and no answer that it does not have.

The seed is fixed, so that a failure can be had again with the command that the failing test prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.compat.serving import Scene
from tests.support.paths import TESTS
from tests.support.server import serving

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
SEED = 20261120
EXAMPLES = 30
"""Made-up requests to each operation, beside those that cover the edges of every field."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the fake engines."""
    with serving(Scene(tmp_path_factory.mktemp("schemathesis")).app()) as found:
        yield found


@pytest.mark.slow
def test_no_failure_and_no_undocumented_answer(address: str, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{address}/openapi.json",
        f"--checks={','.join(CHECKS)}",
        f"--max-examples={EXAMPLES}",
        f"--seed={SEED}",
        "--phases=examples,coverage,fuzzing",
        "--suppress-health-check=all",
        "--continue-on-failure",
        "--no-color",
    ]
    environment = os.environ | {
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "PYTHONPATH": str(TESTS / "support"),
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8000:]}\n{done.stderr[-2000:]}"


def test_document_has_the_routes(address: str) -> None:
    document = httpx.get(f"{address}/openapi.json", trust_env=False).json()
    wanted = {"/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech", "/v1/voices"}
    wanted |= {"/v1/models", "/health", "/ready"}
    assert wanted <= set(document["paths"])
