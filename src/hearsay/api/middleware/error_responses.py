"""Errors become answers here, each with the one error body.

Knows no error by name: `dialects.error_status` has the table. A defect of the server is logged with its
traceback; its client gets nothing but the id of the request. Source: the ASGI specification, WebSocket
denial response.
"""

from __future__ import annotations

import errno
import http
import traceback

import structlog
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from hearsay.api.middleware import RequestMiddleware
from hearsay.api.request.context import context_of
from hearsay.api.request.exchange import ClientDisconnected
from hearsay.api.request.json_body import JsonResponse
from hearsay.dialects.error_status import ErrorResponse, render_error, render_status, render_unexpected
from hearsay.domain import RequestContext
from hearsay.errors import HearsayError, Overloaded

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
"""What the system says where a disk or a table of open files is full: it passes by itself."""

_DENIAL = "websocket.http.response"
"""The extension by which a WebSocket can be refused with an HTTP answer."""
_POLICY_VIOLATION = 1008
"""The close code of a WebSocket that is refused otherwise (RFC 6455 §7.4.1)."""

CLIENT_DISCONNECTED = "hung_up"
"""What the log says, in place of an error's code, for a client that disconnected before the end."""

_log = structlog.get_logger("hearsay.api")


class ResponseAlreadyStarted(Exception):
    """An answer that had begun cannot be finished; the connection is cut, lest it be taken for whole."""


class ErrorMiddleware(RequestMiddleware):
    """Middleware that answers errors, provided that no answer has begun."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting_start)
        except ClientDisconnected:
            context_of(scope).trace.failure = CLIENT_DISCONNECTED  # No client is left to be answered.
        except Exception as error:
            failure = error_response(error, context_of(scope))
            if started:
                raise ResponseAlreadyStarted from error
            if scope["type"] == "websocket" and _DENIAL not in (scope.get("extensions") or {}):
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            else:
                await respond(failure)(scope, receive, send)


def error_response(error: Exception, context: RequestContext) -> ErrorResponse:
    """Return the answer to any error; note it in the trace, and log defects of the server."""
    if isinstance(error, OSError) and error.errno in _FULL:
        _log.error("no room", id=context.id, reason=str(error))
        error = Overloaded("The server has no room for this at the moment.", retry_after=10.0)
    if isinstance(error, HearsayError):
        failure = render_error(error)
        if failure.status == 500:
            _log.error("request failed", id=context.id, code=error.code, traceback=format_traceback(error))
    else:
        failure = render_unexpected(context.id)
        _log.error("request broke", id=context.id, traceback=format_traceback(error))
    context.trace.failure = failure.body["error"]["code"]
    return failure


def format_traceback(error: BaseException) -> str:
    """Return a traceback without the values of variables, which may be text of a recording."""
    return "".join(traceback.format_exception(error))


def respond(failure: ErrorResponse) -> Response:
    """Return the response for a failure."""
    return JsonResponse(failure.body, failure.status, dict(failure.headers))


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: unknown paths and wrong methods."""
    if not isinstance(error, HTTPException):
        raise TypeError(f"{type(error).__name__} is no HTTPException") from error
    headers = dict(error.headers or {})
    if error.status_code == 404:
        message, code = f"There is nothing at {request.method} {request.url.path}.", "not_found"
    elif error.status_code == 405:
        # The router keeps methods in a set, which has another order in every process.
        allowed = headers["Allow"] = ", ".join(sorted(headers.get("Allow", "").split(", ")))
        message, code = f"{request.url.path} takes {allowed}, not {request.method}.", "method_not_allowed"
    else:
        message = str(error.detail)
        code = http.HTTPStatus(error.status_code).name.lower()
    context_of(request.scope).trace.failure = code
    return respond(render_status(error.status_code, message, code, headers=headers))
