"""Drive the clients that one generator wrote: openai, groq, together from 2.0 on (the argument).

Knows no test: each job says what to call, with which arguments, on a client made how.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from tests.compat.drivers import wire

CLASSES = {
    "openai": ("OpenAI", "AsyncOpenAI"),
    "groq": ("Groq", "AsyncGroq"),
    "together": ("Together", "AsyncTogether"),
}


def make(vendor: str, job: wire.Job) -> Any:
    """Make the client, sync or async, with the base URL, key, retries and time limit of the job."""
    name = CLASSES[vendor][1 if job.get("async") else 0]
    return getattr(importlib.import_module(vendor), name)(**job["client"])


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
        case "speak_streaming":
            return client.audio.speech.with_streaming_response.create(**arguments)
        case "voices":
            return client.audio.voices.list()
        case "models":
            return client.models.list()
        case "model":
            return client.models.retrieve(job["id"])
        case "request":
            return getattr(client, job["method"].lower())(job["path"], cast_to=object)
    raise ValueError(f"unknown call {job['call']!r}")


def tell(result: Any, events: list[Any] | None) -> dict[str, Any]:
    """Return what came back; lists of models are told as lists."""
    if events is not None:
        return {"class": type(result).__name__, "events": [wire.value(event) for event in events]}
    if hasattr(result, "data") and isinstance(result.data, list):
        return {"class": type(result).__name__, "value": [wire.value(item)["value"] for item in result.data]}
    return wire.value(result)


def told_sound(response: Any) -> dict[str, Any]:
    """Return what came back where the sound itself went to a file."""
    headers = getattr(response, "headers", None) or response.response.headers
    return {"class": type(response).__name__, "content_type": headers["content-type"]}


def run(vendor: str, job: wire.Job) -> Any:
    """Do a job with the sync client, or give the coroutine that does it with the async one."""
    if job.get("async"):
        return run_async(vendor, job)
    with make(vendor, job) as client:
        if job["call"] == "speak_streaming":
            with call(client, job) as response:
                response.stream_to_file(job["to"])
                return told_sound(response)
        result = call(client, job)
        if "to" in job:
            result.write_to_file(job["to"])
            return told_sound(result)
        if not job.get("arguments", {}).get("stream"):
            return tell(result, None)
        events: list[Any] = []
        try:
            for event in result:
                events.append(event)  # noqa: PERF402  what came before an error must survive it
        except Exception as error:
            return tell(result, events) | {"stream_error": wire.describe(error)}
        return tell(result, events)


async def run_async(vendor: str, job: wire.Job) -> dict[str, Any]:
    """Do a job with the async client."""
    async with make(vendor, job) as client:
        if job["call"] == "speak_streaming":
            async with call(client, job) as response:
                await response.stream_to_file(job["to"])
                return told_sound(response)
        result = await call(client, job)
        if "to" in job:
            written = result.write_to_file(job["to"])
            if written is not None:  # one vendor's async class gives a coroutine, another's has no need to
                await written
            return told_sound(result)
        if not job.get("arguments", {}).get("stream"):
            return tell(result, None)
        events: list[Any] = []
        try:
            async for event in result:
                events.append(event)  # noqa: PERF401  what came before an error must survive it
        except Exception as error:
            return tell(result, events) | {"stream_error": wire.describe(error)}
        return tell(result, events)


if __name__ == "__main__":
    wire.serve(lambda job: run(sys.argv[1], job))
