"""How a test talks to a client in another process: one JSON job a line in, one JSON outcome a line out.

Knows no vendor and no test; only the standard library, because it also runs in environments that hold nothing
but one old client.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = dict[str, Any]

ERROR_FIELDS = ("status_code", "http_status", "code", "param", "type", "request_id", "body", "headers")


def serve(handle: Callable[[Job], Any]) -> None:
    """Answer jobs from standard input until it ends; whatever the client prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(answer(handle, json.loads(line)), default=str) + "\n")


def answer(handle: Callable[[Job], Any], job: Job) -> dict[str, Any]:
    """Do one job; an exception is an outcome like any other."""
    try:
        return {"ok": True, **settle(handle(job))}
    except Exception as error:
        return {"ok": False, "error": describe(error)}


def settle(outcome: Any) -> dict[str, Any]:
    """Run what an async client gave, or take what a sync one gave."""
    if not inspect.iscoroutine(outcome):
        return dict(outcome)
    # Not asyncio.run: in Python 3.11 its care for Ctrl-C takes the repr of the error; one client breaks it.
    loop = asyncio.new_event_loop()
    try:
        return dict(loop.run_until_complete(outcome))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def describe(error: BaseException) -> dict[str, Any]:
    """Tell an exception as data: its classes, its text and every field that clients put on it."""
    fields = {name: _plain(getattr(error, name)) for name in ERROR_FIELDS if hasattr(error, name)}
    return {"classes": [cls.__name__ for cls in type(error).__mro__], "message": str(error), **fields}


def value(result: Any) -> dict[str, Any]:
    """Return the class, the fields (unknown ones included) and the request id of a call's result."""
    told = {"class": type(result).__name__, "value": _plain(result)}
    return told | {"request_id": getattr(result, "_request_id", None)}


def _plain(thing: Any) -> Any:
    if hasattr(thing, "model_dump"):
        return thing.model_dump(mode="json", by_alias=True, warnings=False)
    if isinstance(thing, dict) or (hasattr(thing, "keys") and hasattr(thing, "__getitem__")):
        return {str(key): _plain(thing[key]) for key in thing}
    if isinstance(thing, (list, tuple)):
        return [_plain(item) for item in thing]
    return thing


def given(file: Job | None) -> Any:
    """Make the `file` argument as a user would: `{"as": FORM, "path": …}` or `{"as": "text", "url": …}`."""
    if file is None:
        return None
    if file["as"] == "text":
        return (None, file["url"])
    if file["as"] == "str":
        return file["url"]
    path = Path(file["path"])
    forms: dict[str, Callable[[], Any]] = {
        "path": lambda: path,
        "path_str": lambda: str(path),
        "open": lambda: path.open("rb"),
        "bytes": path.read_bytes,
        "bytesio": lambda: io.BytesIO(path.read_bytes()),
        "tuple": lambda: (path.name, path.read_bytes()),
        "typed_tuple": lambda: (path.name, path.read_bytes(), "audio/x-wav"),
        "nameless": lambda: (None, path.read_bytes()),
    }
    return forms[file["as"]]()
