"""The log of a node."""

import logging
import subprocess
import sys

from actors.logs import FieldFormatter


def test_a_line_has_the_event_its_fields_and_the_cause() -> None:
    record = logging.LogRecord("actors.store", logging.ERROR, "f", 1, "request failed", (), None)
    record.reference = "1a2b3c4d"
    line = FieldFormatter().format(record)
    assert line.endswith("ERROR actors.store request failed reference=1a2b3c4d")


def test_a_process_of_a_node_logs_to_stderr_and_a_program_of_a_person_does_not() -> None:
    event = "import logging; logging.getLogger('p2pgrid.x').warning('e', extra={'peer': 7})"
    node = f"from actors.logs import log_to_stderr; log_to_stderr(); {event}"
    person = f"import p2pgrid; {event}"
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr
        for code in (node, person)
    ]
    assert b"WARNING p2pgrid.x e peer=7" in said[0]
    assert said[1] == b""
