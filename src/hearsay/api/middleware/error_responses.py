"""Where errors end: each becomes an answer with the one error body.

Knows no error by name: `dialects.failures` has the table. A defect of ours is logged with its traceback
and told to the caller as nothing but a request id.
"""

from __future__ import annotations

import errno
import http
import traceback

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hearsay.api.middleware.request_trace import trace_of
from hearsay.api.request.exchange import ClientDisconnected
from hearsay.dialects.error_status import ErrorResponse, render_error, render_status, render_unexpected
from hearsay.dialects.json_bytes import encode
from hearsay.errors import HearsayError, InvalidRequest, Overloaded

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
"""What the system says where a disk or a table of open files is full: it passes, and is nobody's mistake."""

CLIENT_DISCONNECTED = "hung_up"
"""What the log says, in place of an error's code, for a caller who did not wait for the end."""

_log = structlog.get_logger("hearsay.api")


class ResponseAlreadyStarted(Exception):
    """An answer that had begun cannot be finished; the connection is cut so that nobody takes it whole."""


class ErrorMiddleware:
    """Middleware that answers errors, provided that no answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noticing(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noticing)
        except ClientDisconnected:
            trace_of(scope).failure = CLIENT_DISCONNECTED  # Nobody is there to be answered.
        except Exception as error:
            failure = error_response(error, scope)
            if started:
                raise ResponseAlreadyStarted from error
            await respond(failure)(scope, receive, send)


def error_response(error: Exception, scope: Scope) -> ErrorResponse:
    """Turn any error into what the caller is told; note it in the trace, and log defects of ours."""
    trace = trace_of(scope)
    if isinstance(error, OSError) and error.errno in _FULL:
        _log.error("no room", id=trace.id, reason=str(error))
        error = Overloaded("The server has no room for this at the moment.", retry_after=10.0)
    if isinstance(error, HearsayError):
        failure = render_error(error)
        if failure.status == 500:
            _log.error("request failed", id=trace.id, code=error.code, traceback=format_traceback(error))
    else:
        failure = render_unexpected(trace.id)
        _log.error("request broke", id=trace.id, traceback=format_traceback(error))
    trace.failure = failure.body["error"]["code"]
    return failure


def format_traceback(error: BaseException) -> str:
    """Write a traceback without the values of variables, which may be what somebody said."""
    return "".join(traceback.format_exception(error))


def respond(failure: ErrorResponse) -> Response:
    """Make the response for a failure."""
    return Response(
        encode(failure.body), failure.status, dict(failure.headers), media_type="application/json"
    )


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router has to say: unknown paths and wrong methods."""
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
    trace_of(request.scope).failure = code
    return respond(render_status(error.status_code, message, code, headers=headers))


async def answer_validation_error(request: Request, error: Exception) -> Response:
    """Answer parameters that the framework could not read, in our own words."""
    if not isinstance(error, RequestValidationError):
        raise TypeError(f"{type(error).__name__} is no RequestValidationError") from error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return respond(error_response(InvalidRequest(f"{where}: {first['msg']}", param=where), request.scope))
