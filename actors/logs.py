"""The log of a node's processes: one line per event, with its fields, into Ray's log files.

An error that a remote person saw as a reference is found here under that reference.
"""

import logging
import sys

from typing_extensions import override

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """``time LEVEL logger event key=value ...``; the fields are the ``extra`` of the call."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = (
            f"{key}={value}" for key, value in record.__dict__.items() if key not in _STANDARD
        )
        return " ".join((super().formatMessage(record), *fields))


def log_to_stderr() -> None:
    """Sends our events from INFO on to standard error, which Ray keeps in a file per process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    for name in ("p2pgrid", "actors"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
