"""The log of a node."""

import json
import logging
import re
import subprocess
import sys
from contextvars import copy_context

from actors.logs import JsonFormatter, current_request


def record(**fields: object) -> logging.LogRecord:
    made = logging.LogRecord("actors.store", logging.ERROR, "f", 1, "request failed", (), None)
    made.__dict__.update(fields)
    return made


def line_of(it: logging.LogRecord) -> dict[str, object]:
    line = JsonFormatter().format(it)
    assert "\n" not in line
    read: dict[str, object] = json.loads(line)
    return read


def test_a_line_has_the_event_and_its_fields() -> None:
    line = line_of(record(reference="1a2b3c4d", count=3))
    time = str(line.pop("time"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", time)
    assert line == {
        "level": "ERROR",
        "logger": "actors.store",
        "event": "request failed",
        "reference": "1a2b3c4d",
        "count": 3,
    }


def test_a_line_names_the_request_that_is_worked_on() -> None:
    def within() -> object:
        current_request.set("0a0b0c0d-7")
        return line_of(record())["request"]

    assert copy_context().run(within) == "0a0b0c0d-7"
    assert "request" not in line_of(record())


def test_a_cause_is_in_the_same_line_whatever_it_holds() -> None:
    error = ValueError("first\nsecond")
    line = line_of(record(exc_info=(ValueError, error, None), odd=object))
    assert str(line["error"]).endswith("ValueError: first\nsecond")
    assert line["odd"] == "<class 'object'>"


def test_a_process_of_a_node_logs_to_stderr_and_a_program_of_a_person_does_not() -> None:
    event = "import logging; logging.getLogger('p2pgrid.x').warning('e', extra={'peer': 7})"
    node = f"from actors.logs import log_to_stderr; log_to_stderr(); {event}"
    person = f"import p2pgrid; {event}"
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr
        for code in (node, person)
    ]
    assert json.loads(said[0]).items() >= {"level": "WARNING", "event": "e", "peer": 7}.items()
    assert said[1] == b""
