"""The demo: a network, two hospitals and a data scientist on one machine.

Run it with ``make demo``. Every node is a Ray cluster of its own; the scientist's process has only
the base install. Nothing is simulated: the gateway and then a whole cluster are killed on the way.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_breast_cancer

from actors.cluster import load_cluster
from actors.processes import Session, members
from p2pgrid import Client, DomainClient, Node, launch, start, stop

BIRTHS = np.array([[1, 3.5, 47.3], [0, 3.7, 48.1], [0, 3.9, 50.0], [1, 4.1, 52.3], [0, 4.1, 49.7]])
DESCRIPTION = """Description:
    This data presents the monthly birth records.

    Columns:
        Gender: 0 - Male, 1 - Female
        Weight: in Kg
        Height: in cm

    Shape 5 * 3
"""
BASE_PYTHON = Path(__file__).parents[1] / ".venv-base" / "bin" / "python"
SCIENTIST = Path(__file__).parent / "scientist.py"
MIB = 1 << 20

console = Console(width=100, highlight=False)


@contextmanager
def step(text: str) -> Iterator[None]:
    """A progress line with its duration."""
    console.print(f"[bold cyan]>[/] {text}")
    started = time.monotonic()
    yield
    console.print(f"  [green]done[/] in {time.monotonic() - started:.1f} s")


class Demo:
    """The operator's side; one instance is one run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.operator = Client(home / "operator")
        self.sessions: list[Session] = []
        self.peak_mib = 0.0

    def launch(self, name: str, kind: Literal["domain", "network"], **settings: Any) -> Node:
        """Makes and starts a node, and remembers its Unix session."""
        node: Node = launch(name, kind, client=self.operator, **settings)
        self.remember(node)
        return node

    def remember(self, node: Node) -> None:
        """Notes the processes of a node, to check at the end that none is left."""
        running = load_cluster(node.directory / "ray")
        assert running is not None
        self.sessions.append(running.session)

    def processes(self) -> set[int]:
        """The processes of all nodes that were ever started here."""
        return {pid for session in self.sessions for pid in members(session)}

    def weigh(self) -> None:
        """Notes the memory of all nodes, each shared page counted once (PSS)."""
        total = 0
        for pid in self.processes():
            with suppress(psutil.NoSuchProcess):
                total += psutil.Process(pid).memory_full_info().pss
        self.peak_mib = max(self.peak_mib, total / MIB)

    def scientist(self, *arguments: str) -> str:
        """Runs the scientist's program in its own process; returns its last line."""
        environment = {**os.environ, "P2PGRID_HOME": str(self.home / "scientist")}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            [str(BASE_PYTHON), str(SCIENTIST), *arguments],
            env=environment,
            cwd=self.home,
            check=False,
            stdout=subprocess.PIPE,
            text=True,
        )
        *lines, last = done.stdout.splitlines() or [""]
        for line in lines:
            print(f"    {line}")
        if done.returncode:
            raise SystemExit(f"the scientist's program failed: {last}")
        return last

    def research(self, *arguments: str) -> str:
        """The scientist's research; checks its numbers and gives the id of the births."""
        answer = json.loads(self.scientist(*arguments))
        expected = load_breast_cancer().data.mean(axis=0)
        assert np.allclose(answer["means"], expected, rtol=1e-9, atol=0)
        return str(answer["dataset_id"])


def run(home: Path) -> None:
    """All steps, in the order of the README."""
    demo = Demo(home)
    try:
        tell(demo)
    finally:
        with step("stop everything"):
            stop_all(demo)


def tell(demo: Demo) -> None:
    """The story."""
    with step("start a network and two domains, each a Ray cluster of its own"):
        network, bob, ucsf = start_nodes(demo)
        show_nodes(network, bob, ucsf)
    with step("the scientist makes a key per domain; the owners enrol them and publish"):
        publish(demo, bob, ucsf)
        demo.weigh()
    with step("the scientist finds both by tag through the network, and computes"):
        before = demo.research("network", network.address)
    with step("the same with the network stopped, by the DHT alone"):
        network.stop()
        assert demo.research("dht") == before
    with step("the gateway of bob is killed; Ray restarts it"):
        os.kill(bob.gateway_pid, signal.SIGKILL)
        psutil.wait_procs([p for p in [_process(bob.gateway_pid)] if p], timeout=10)
        again = start(bob.directory, client=demo.operator)
        assert again.gateway_pid != bob.gateway_pid
        assert demo.research("dht") == before
    with step("all of bob's cluster is killed; it starts again from its directory"):
        kill_cluster(bob)
        risen, network = start_again(demo, bob, network)
        assert risen.peer_id == bob.peer_id
    with step("same peer id, same dataset id; search and sums work again"):
        assert demo.research("network", network.address) == before
        demo.weigh()


def start_nodes(demo: Demo) -> tuple[Node, Node, Node]:
    """The network first, for the domains join it as they start."""
    network = demo.launch("city-health", "network")
    with ThreadPoolExecutor(2) as pool:
        domains = pool.map(
            lambda name: demo.launch(name, "domain", networks=[network.address]), ("bob", "ucsf")
        )
        bob, ucsf = domains
    return network, bob, ucsf


def show_nodes(*nodes: Node) -> None:
    """Who is there."""
    table = Table(title="nodes", title_justify="left")
    for column in ("name", "kind", "peer id", "address"):
        table.add_column(column)
    for node in nodes:
        table.add_row(node.name, node.kind, f"...{node.peer_id[-12:]}", node.address[:30] + "...")
    console.print(table)


def publish(demo: Demo, bob: Node, ucsf: Node) -> None:
    """Owners enrol the scientist's users and publish; carol may not take births home."""
    people = [bob.peer_id, "carol", bob.peer_id, "ana", ucsf.peer_id, "carol"]
    keys = [
        json.loads(demo.scientist("keys", *pair))
        for pair in zip(people[::2], people[1::2], strict=True)
    ]
    for node, key in zip((bob, bob, ucsf), keys, strict=True):
        owner_of(node).users.add(key["user"], key["public_key"])
    owner_of(bob).publish(
        "births",
        BIRTHS,
        description=DESCRIPTION,
        tags=("#February", "#birth-records"),
        allowed_users=("ana",),
        announce=True,
    )
    cancer = load_breast_cancer()
    owner_of(ucsf).publish(
        "breast cancer",
        {"X": cancer.data, "target": cancer.target},
        tags=("#breast-cancer",),
        description="Wisconsin diagnostic",
        allowed_users=("carol",),
        announce=True,
    )


def owner_of(node: Node) -> DomainClient:
    """The node, logged in to as its owner."""
    client = node.connect()
    assert isinstance(client, DomainClient)
    return client


def kill_cluster(node: Node) -> None:
    """SIGKILL to every process of a node."""
    running = load_cluster(node.directory / "ray")
    assert running is not None
    killed = [found for pid in members(running.session) if (found := _process(pid))]
    for process in killed:
        with suppress(psutil.NoSuchProcess):  # Ray's processes also end one another
            process.kill()
    psutil.wait_procs(killed, timeout=10)
    console.print(f"  killed {len(killed)} processes")


def start_again(demo: Demo, *nodes: Node) -> list[Node]:
    """Starts nodes from their directories."""
    with ThreadPoolExecutor(2) as pool:
        risen = list(pool.map(lambda node: start(node.directory, client=demo.operator), nodes))
    for node in risen:
        demo.remember(node)
    return risen


def stop_all(demo: Demo) -> None:
    """Stops all nodes and checks that no process of theirs is left."""
    places = sorted((demo.operator.home / "nodes").glob("*"))
    with ThreadPoolExecutor(len(places) or 1) as pool:
        list(pool.map(stop, places))
    demo.operator.close()
    left = demo.processes()
    assert not left, f"processes are left: {sorted(left)}"
    console.print(f"  no process is left; memory of all nodes at most {demo.peak_mib:,.0f} MiB")


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


if __name__ == "__main__":
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="p2pgrid-demo-") as folder:
        run(Path(folder))
    console.print(f"[bold green]the demo took {time.monotonic() - began:.1f} s[/]")
    sys.exit(0)
