"""Two pages for the browser, a greeting and the API's documentation: no scripts, nothing from outside.

Knows no route: the documentation is drawn from the OpenAPI document.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from hearsay.dialects import PREFIX

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: #8881; border-radius: 4px }
code { padding: .1em .3em } pre { padding: .8rem; overflow-x: auto }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top;
padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
h2 { margin-top: 2.5rem; border-top: 2px solid #8884; padding-top: 1rem }
:root { color-scheme: light dark }
"""


def routes() -> APIRouter:
    """Return the routes of the pages."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def greeting(request: Request) -> HTMLResponse:
        """Show how to call the server."""
        return HTMLResponse(_greeting(str(request.base_url).rstrip("/")), headers=_HEADERS)

    @router.get("/docs")
    async def documentation(request: Request) -> HTMLResponse:
        """Show the API's documentation."""
        return HTMLResponse(_documentation(request.app.openapi()), headers=_HEADERS)

    return router


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<body>{body}</body></html>\n"
    )


def _greeting(base: str) -> str:
    hear = f"curl {base}{PREFIX}/audio/transcriptions -F file=@recording.mp3"
    say = (
        f"curl {base}{PREFIX}/audio/speech -H 'Content-Type: application/json' -o hello.mp3 \\\n"
        '  -d \'{"voice": "alloy", "input": "Hello, and welcome."}\''
    )
    return _page(
        "Hearsay",
        "<h1>Hearsay</h1><p>A speech server that speaks the hosted APIs. It is running. Try</p>"
        f"<pre>{escape(hear)}\n\n{escape(say)}</pre>"
        f"<p>or point a client's base URL at <code>{escape(base + PREFIX)}</code>. "
        'See the <a href="docs">documentation</a>, the <a href="openapi.json">OpenAPI document</a>, '
        f'the <a href="{PREFIX[1:]}/models">models</a> and whether it is <a href="ready">ready</a>.</p>',
    )


def _documentation(document: dict[str, Any]) -> str:
    info = document["info"]
    parts = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    head = f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_prose(info['description'])}</p>"
    return _page(f"{info['title']}: documentation", head + "".join(parts))


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in content)
    schema: dict[str, Any] = next((kind["schema"] for kind in content.values()), {})
    body = f"<h3>Body</h3><p>{kinds}</p>{_fields(schema)}" if content else ""
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code><td>{_prose(answer['description'])}"
        f"<td>{'<br>'.join(escape(kind) for kind in answer.get('content', {}))}"
        for status, answer in operation["responses"].items()
    )
    description = _prose(operation.get("description", operation.get("summary", "")))
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{description}</p>{body}"
        f"<h3>Answers</h3><table>{answers}</table>"
    )


def _fields(schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(_kind(shape))}"
        f"<td>{_prose(shape.get('description', ''))}"
        for name, shape in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>"


def _prose(text: str) -> str:
    """Return HTML of text whose `names` stand between backticks, as in the OpenAPI document's Markdown."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _kind(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " | ".join(_kind(one) for one in shape["anyOf"])
    values = shape.get("enum") or shape.get("items", {}).get("enum")
    kind = " | ".join(values) if values else str(shape.get("format", shape["type"]))
    return kind + (f" (default {json.dumps(shape['default'])})" if "default" in shape else "")
