"""How log lines look and where they go: one stream, standard error, for our events and those of libraries.

Knows no event. Lines are coloured text on a terminal and JSON elsewhere, unless the settings say which.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import structlog


class _Lines(structlog.WriteLogger):
    """Writes lines; one that cannot be written (a full disk, a reader who has gone) is all that is lost."""

    def msg(self, message: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = failure = err = error = critical = exception = fatal = msg


_QUIET = {"httpx": logging.WARNING, "httpcore": logging.WARNING, "uvicorn.access": logging.WARNING}


def configure(level: str, style: str) -> None:
    """Send every log line at or above `level` to standard error in this style (`auto`, `console`, `json`)."""
    plain = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=not plain),
    ]
    renderer: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    if not plain:
        renderer = [
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    # Our own events go straight to the stream: by way of the standard library each would take twice as long.
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(sys.stderr),
        cache_logger_on_first_use=True,
    )
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
