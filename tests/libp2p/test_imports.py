"""``p2pgrid datasets import`` in a terminal, at a domain with real sockets."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.births import PRIVATE, write_births
from tests.libp2p.conftest import Clinic

pytestmark = [pytest.mark.libp2p, pytest.mark.timeout(60)]

COMMAND = Path(sys.executable).with_name("p2pgrid")
QUESTION = "[y/N]: "


class Terminal:
    """A command that runs in a terminal of its own."""

    def __init__(self, *line: object, home: Path) -> None:
        self._end, inside = pty.openpty()
        self._process = subprocess.Popen(
            [COMMAND, *map(str, line)],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "P2PGRID_HOME": str(home)},
        )
        os.close(inside)

    def read_until(self, text: str) -> str:
        """What it shows until it shows this text."""
        shown = ""
        while text not in shown:
            shown += os.read(self._end, 65536).decode()
        return shown

    def answer(self, text: str) -> str:
        """Types a line; what it shows until it ends well."""
        os.write(self._end, f"{text}\n".encode())
        shown = "".join(self._rest())
        os.close(self._end)
        assert self._process.wait() == 0, shown
        return shown

    def _rest(self) -> Iterator[str]:
        while True:
            try:
                read = os.read(self._end, 65536)
            except OSError:  # which is how Linux says that nobody has the other end any more
                return
            yield read.decode()


def test_a_person_sees_all_that_will_be_public_and_decides(clinic: Clinic) -> None:
    clinic.start_here()
    owner = clinic.owner()
    file, book = write_births(clinic.home)
    line = ("datasets", "import", file, "--code-book", book, "--domain", clinic.address)

    hesitant = Terminal(*line, home=clinic.home)
    shown = hesitant.read_until(QUESTION)
    for public in ("Will be public", "Weight", "[0.0, 10.0]", "#february", "Is left out"):
        assert public in shown
    assert not any(private in shown for private in PRIVATE)
    assert "nothing was published" in hesitant.answer("n")
    assert owner.search() == ()

    willing = Terminal(*line, home=clinic.home)
    willing.read_until(QUESTION)
    assert "yes" in willing.answer("y")
    (dataset,) = owner.search("#birth-records")
    assert dataset["data"].shape == (3, 2)
