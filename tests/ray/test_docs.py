"""Every snippet of the README and the docs runs, in order, in a home of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pgrid import stop

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = sorted(
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
    if FENCE.search(page.read_text())
)
TARGETS = {"make demo", "make test"}
"""Commands that are tested by being what CI and ``test_demo`` run."""


def run(command: list[str], home: Path) -> None:
    environment = {
        **os.environ,
        "P2PGRID_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=home, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A ``$P2PGRID_HOME`` whose nodes are stopped at the end, also when a snippet failed."""
    yield tmp_path
    for node in (tmp_path / "nodes").glob("*"):
        stop(node)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_snippets_of_a_page_run(page: Path, home: Path) -> None:
    fences = FENCE.findall(page.read_text())
    assert {kind for kind, _ in fences} <= {"python", "sh", "bash", "text", "toml", "yaml"}
    for kind, text in fences:
        if kind == "bash":
            assert set(text.split("\n")) - {""} <= TARGETS
        if kind == "sh":
            run(["bash", "-e", "-c", text], home)
    python = "\n".join(text for kind, text in fences if kind == "python")
    if python:
        run([sys.executable, "-c", python], home)


def test_the_example_of_pointers_runs(home: Path) -> None:
    run([sys.executable, str(ROOT / "examples" / "pointers.py")], home)


@pytest.mark.slow
@pytest.mark.parametrize("example", ["closed_network", "doctor"])
def test_an_example_runs(home: Path, example: str) -> None:
    run([sys.executable, str(ROOT / "examples" / f"{example}.py")], home)


def test_every_page_that_is_linked_exists() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
