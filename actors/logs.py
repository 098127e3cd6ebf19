"""The log of a node's processes: one line of JSON per event, into Ray's log files.

An error that a remote person saw as a reference is found here under that reference. Everything
that belongs to one request carries its id, in the gateway as in the store; the same id is in the
log of the program that asked. Lines hold ids, names of accounts, counts and times, never values.
"""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

import msgspec
from typing_extensions import override

Level = Literal["debug", "info"]

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

current_request: ContextVar[str] = ContextVar("current_request", default="")
"""The id of the request that this task or thread works on."""


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "logger", "event", ...}``; the rest are the ``extra`` of the call."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        if request := current_request.get():
            line["request"] = request
        line |= {key: it for key, it in record.__dict__.items() if key not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def log_to_stderr(level: Level = "info") -> None:
    """Sends our events to standard error, which Ray keeps in a file per process.

    ``debug`` has a line for every request; ``info`` only for what an operator looks for.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("p2pgrid", "actors"):
        logger = logging.getLogger(name)
        logger.setLevel(level.upper())
        logger.addHandler(handler)
