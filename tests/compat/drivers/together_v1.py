"""Drive the hand-written 1.x line of the together package. Run as a module from the root of the repository.

Knows no test: each job says what to call, with which arguments, on a client made how.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from tests.compat.drivers import wire


def make(job: wire.Job) -> Any:
    """Make the client, sync or async, with the base URL, key, retries and time limit of the job."""
    together = importlib.import_module("together")
    return getattr(together, "AsyncTogether" if job.get("async") else "Together")(**job["client"])


def call(client: Any, job: wire.Job) -> Any:
    """Begin the call that a job names; an async client gives something to await."""
    arguments = dict(job.get("arguments", {}))
    if "file" in job:
        arguments["file"] = wire.given(job["file"])
    match job["call"]:
        case "transcribe":
            return client.audio.transcriptions.create(**arguments)
        case "translate":
            return client.audio.translations.create(**arguments)
        case "speak":
            return client.audio.speech.create(**arguments)
        case "voices":
            return client.audio.voices.list()
        case "models":
            return client.models.list()
        case "request":
            return request(client, job)
    raise ValueError(f"unknown call {job['call']!r}")


def request(client: Any, job: wire.Job) -> Any:
    """Send a bare request the way the package's own resources do."""
    requestor = importlib.import_module("together.abstract.api_requestor").APIRequestor(client=client.client)
    options = importlib.import_module("together.types").TogetherRequest(method=job["method"], url=job["path"])
    if job.get("async"):
        return requestor.arequest(options=options, stream=False)
    return requestor.request(options=options, stream=False)[0].data


def run(job: wire.Job) -> Any:
    """Do a job, or give the coroutine that does it."""
    result = call(make(job), job)
    return finish(result, job) if inspect.isawaitable(result) else tell(result, job)


async def finish(result: Any, job: wire.Job) -> dict[str, Any]:
    """Wait for an async call."""
    return tell(await result, job)


def tell(result: Any, job: wire.Job) -> dict[str, Any]:
    """Return what came back; sound goes to a file, whose name tells the client how to write it."""
    if "to" not in job:
        return wire.value(result)
    result.stream_to_file(job["to"])
    return {"class": type(result).__name__}


if __name__ == "__main__":
    wire.serve(run)
