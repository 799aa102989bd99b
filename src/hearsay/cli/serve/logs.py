"""Logging configuration: one stream, standard error, for Hearsay's events and those of libraries.

Knows no event. Lines are coloured text on a terminal and JSON elsewhere, unless set.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import structlog


class _Lines(structlog.WriteLogger):
    """Writes lines; one that cannot be written (full disk, closed pipe) is dropped."""

    def msg(self, message: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = failure = err = error = critical = exception = fatal = msg


_LIBRARY_LEVELS = dict.fromkeys(("httpx", "httpcore", "uvicorn"), logging.WARNING)


def configure(level: str, style: str) -> None:
    """Write every log line at or above `level` to standard error, as `auto`, `console` or `json`."""
    plain = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S" if plain else "iso", utc=not plain),
    ]
    renderer: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    if not plain:
        renderer = [
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    # Hearsay's events bypass the standard library's logging, which would double their cost.
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
    for name, minimum in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(minimum, root.level))
