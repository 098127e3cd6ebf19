"""The whole runtime: operations, large data, many clients, and what the import costs.

Every arm has its baseline in the same run: plain Ray calls for operations, plain TLS sockets for
large data.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from actors.cluster import load_cluster
from actors.processes import members
from benchmarks import bulk, crowd
from benchmarks.pointer import (
    baseline,
    check_processes,
    compare,
    connect_ms,
    owner_at,
    pss_mb,
)
from p2pgrid import Client, launch, stop

IMPORT = (
    "import time; t = time.perf_counter(); from p2pgrid import Client; s = time.perf_counter() - t;"
    "import resource; print(s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)
IMPORTS = 5
KIB_PER_MB = 1e6 / 1024


def main() -> None:
    """Runs the benchmark and prints its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p2pgrid-bench-") as folder:
        result = run(Path(folder))
    if not asked.json:
        for key, value in result.items():
            print(f"{key:>32} {value:12,.3f}")
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))


def run(home: Path) -> dict[str, float]:
    """All measurements on one node; the import in fresh processes."""
    result = import_cost()
    client = Client(home)
    started = time.perf_counter()
    node = launch("bench", client=client)
    result["node_start_s"] = time.perf_counter() - started
    try:
        owner = owner_at(client, node)
        pointer = owner.publish("number", np.zeros(())).pointers[0]
        running = load_cluster(node.directory / "ray")
        assert running is not None
        check_processes(node, running)
        with baseline(running) as rounds:
            result |= compare(rounds, pointer)
        result["connect_ms_p50"] = connect_ms(home, node)
        result["node_pss_mb"] = pss_mb(running)
        result |= crowd.measure(node.address, home, tuple(members(running.session)))
        result |= bulk.measure(owner, bulk.node_processes(node), node.directory / "objects")
    finally:
        client.close()
        stop(node.directory)
    return result


def import_cost() -> dict[str, float]:
    """Seconds and memory of a program that imports the client, medians over fresh processes."""
    runs = [
        subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
        for _ in range(IMPORTS)
    ]
    seconds, kib = np.median([[float(part) for part in run.stdout.split()] for run in runs], axis=0)
    return {"import_s": float(seconds), "import_rss_mb": float(kib) / KIB_PER_MB}


if __name__ == "__main__":
    main()
