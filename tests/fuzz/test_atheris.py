"""The coverage-guided fuzzer finds nothing in a short run from the kept corpus."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
SECONDS = 20


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_coverage_finds_no_crash(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.run", name]
    done = subprocess.run(
        [*command, "--seconds", str(SECONDS), "--corpus", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "stat::number_of_executed_units" in done.stderr
