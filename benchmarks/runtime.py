"""The whole runtime: operations, large data, many clients, and what the import costs.

Every arm has its baseline in the same run: plain Ray calls for operations, plain TLS sockets for
large data.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from actors.cluster import load_cluster
from actors.processes import members
from benchmarks import bulk, crowd, pointer
from benchmarks.nodes import launched, owner_at, report

IMPORT = (
    "import time; t = time.perf_counter(); from p2pgrid import Client; s = time.perf_counter() - t;"
    "import resource; print(s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)
IMPORTS = 5
KIB_PER_MB = 1e6 / 1024


def main() -> None:
    """Runs the benchmark and prints its line."""
    report(__doc__, run)


def run(home: Path) -> dict[str, float]:
    """All measurements on one node; the import in fresh processes."""
    result = import_cost()
    with launched(home) as (client, node, start_s):
        owner = owner_at(client, node)
        result |= {"node_start_s": start_s, **pointer.measure_node(owner, node, home)}
        running = load_cluster(node.directory / "ray")
        assert running is not None
        result |= crowd.measure(node.address, home, tuple(members(running.session)))
        result |= bulk.measure(owner, bulk.node_processes(node), node.directory / "objects")
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
