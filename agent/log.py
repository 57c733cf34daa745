"""Structured logs: JSON lines for the journal, colours on a terminal."""

import contextlib
import io
import logging
import sys
from typing import TextIO, cast

import structlog

from agent.settings import LogSettings

_LEVELS = logging.getLevelNamesMapping()


class _Threshold:
    """Drops what is below a level that can change: the loggers themselves are made once."""

    def __init__(self) -> None:
        self.level = logging.NOTSET

    def __call__(
        self, _: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if _LEVELS.get(method.upper(), logging.CRITICAL) < self.level:
            raise structlog.DropEvent
        return event


_threshold = _Threshold()


def set_level(level: str) -> None:
    """Say what is at least as serious as ``level`` (debug, info, warning, error) from now on."""
    _threshold.level = _LEVELS[level.upper()]


class _StandardError(io.TextIOBase):
    """Standard error, which may be a file on a full disk: a line that is lost ends nothing."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure(settings: LogSettings) -> None:
    """Set up structlog for the process; everything goes to standard error."""
    pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    set_level(settings.level)
    processors: list[structlog.typing.Processor] = [
        _threshold,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not pretty:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
