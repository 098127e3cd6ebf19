"""``make demo`` and the examples, as their readers run them."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


def test_the_demo_runs_to_its_end_and_shows_the_numbers_of_the_notebook() -> None:
    done = subprocess.run(
        [sys.executable, "examples/demo.py"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("mean weight 3.8600 kg, mean height 49.4800 cm") == 4
    assert done.stdout.count("bytes of data moved by the refused get: 0") == 4
    assert "no process is left" in done.stdout


def test_the_example_behind_a_firewall_runs_to_its_end() -> None:
    command = [sys.executable, "examples/behind_a_firewall.py"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert [line.rpartition(" ")[2] for line in lines] == ["TCP", "TCP", "WebSocket", "WebSocket"]


def test_the_example_of_large_data_runs_to_its_end() -> None:
    command = [sys.executable, "examples/large_data.py", "64"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert lines[-3:] == [
        "published, durable, listed",
        "taken into memory",
        "a result taken into a file",
    ]


def test_notebook_000_runs_to_its_end_and_prints_what_the_notebook_prints() -> None:
    command = [sys.executable, "examples/notebook_000.py"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("Connecting... SUCCESS!") == 2
    assert "network  domain  pubkey  prikey" in lines, "the wallet is empty at first"
    counts = ["distributed_datasets", "datasets", "tensors", "dataset_schemas", "tensor_schemas"]
    after_counts = lines[next(i for i, line in enumerate(lines) if line.split() == counts) + 1]
    assert after_counts.split() == ["1", "3", "3", "1", "1"], "each once, whatever networks list it"
    ama = [line.split()[2:] for line in lines if line.startswith("AMA ")]
    assert ama[0] == ["2", "0", "2", "2", "0"]
    assert ama[-1] == ["2", "0", "2", "2", "1"], "an account makes one registered"
    assert any(line.startswith("Told: You do not have permission to .get()") for line in lines)
    assert lines[-1].startswith("Mean age: 7")
