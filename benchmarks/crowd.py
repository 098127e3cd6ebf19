"""Two hundred clients on one gateway: what they wait, what each costs, what the gateway can do.

Run by ``benchmarks.runtime``; each worker process holds a part of the clients, every client with a
peer, a link and a session of its own. A worker does what it is told on its standard input, a word
a line, and answers with a line of JSON.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from p2pgrid import Client, DomainClient, P2PGridError, TensorPointer

CLIENTS = 200
WORKERS = 2
OPERATIONS = 50
AT_ONCE = 8
"""Clients of a worker that connect at the same time."""
CAP_S = 5.0
KB = 1e3
READY_S = 300.0


def measure(address: str, home: Path, pids: Sequence[int]) -> dict[str, float]:
    """Keys ``errors``, ``kb_per_client``, ``p99_ms`` and ``gateway_cap_rps``.

    Args:
        address: of the domain, which lists one dataset with one number.
        home: with a wallet that may log in there.
        pids: the processes of the node, whose memory is what the clients cost.
    """
    before = _memory(pids)
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(address, home)) for _ in range(WORKERS)]
        connected = [worker("connect") for worker in workers]
        answers = _together(workers, "pipeline")
        after = _memory(pids)
        rates = _together(workers, "cap")
    waits = [wait for answer in answers for wait in answer["waits"]]
    return {
        "clients": float(sum(answer["clients"] for answer in connected)),
        "errors": float(sum(answer["errors"] for answer in (*connected, *answers, *rates))),
        "kb_per_client": (after - before) / CLIENTS / KB,
        "p99_ms": float(np.quantile(waits, 0.99)) * 1e3,
        "gateway_cap_rps": sum(answer["rate"] for answer in rates),
    }


Tell = Callable[[str], Any]
"""Tells a worker a word; its answer, decoded."""


@contextmanager
def _worker(address: str, home: Path) -> Iterator[Tell]:
    command = [sys.executable, "-m", "benchmarks.crowd", address, str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def tell(word: str) -> Any:
            stdin.write(word + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield tell
        stdin.close()
        assert process.wait(READY_S) == 0


def _together(workers: Sequence[Tell], word: str) -> list[Any]:
    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(lambda worker: worker(word), workers))


def _memory(pids: Sequence[int]) -> float:
    return float(sum(psutil.Process(pid).memory_full_info().pss for pid in pids))


class Worker:
    """A part of the clients, in one process."""

    def __init__(self, address: str, home: Path) -> None:
        self._address, self._home = address, home
        self._clients: list[Client] = []
        self._numbers: list[TensorPointer] = []

    def connect(self) -> dict[str, object]:
        """Links and logs in every client."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            opened = list(pool.map(lambda _: self._open(), range(CLIENTS // WORKERS)))
        self._numbers = [number for number in opened if number is not None]
        return {"clients": len(self._numbers), "errors": len(opened) - len(self._numbers)}

    def _open(self) -> TensorPointer | None:
        client = Client(self._home)
        self._clients.append(client)
        try:
            domain = client.connect(self._address)
            assert isinstance(domain, DomainClient)
            return domain.login().datasets[0].pointers[0]  # type: ignore[no-any-return]
        except P2PGridError:
            return None

    def pipeline(self) -> dict[str, object]:
        """All clients at once, each with a chain of operations; seconds until it is done."""
        waits, errors = self._at_once(_chain)
        return {"waits": waits, "errors": errors}

    def cap(self) -> dict[str, object]:
        """All clients at once, one operation after the other, each a request of its own."""
        started = time.perf_counter()
        counts, errors = self._at_once(_until(started + CAP_S))
        return {"rate": sum(counts) / (time.perf_counter() - started), "errors": errors}

    def _at_once(self, work: Callable[[TensorPointer], float]) -> tuple[list[float], int]:
        together = threading.Barrier(len(self._numbers))

        def one(number: TensorPointer) -> float | None:
            together.wait()
            try:
                return work(number)
            except P2PGridError:
                return None

        with ThreadPoolExecutor(len(self._numbers)) as pool:
            done = list(pool.map(one, self._numbers))
        return [value for value in done if value is not None], done.count(None)

    def close(self) -> None:
        """Ends all links."""
        for client in self._clients:
            client.close()


def _chain(number: TensorPointer) -> float:
    started = time.perf_counter()
    chain = number
    for _ in range(OPERATIONS):
        chain = chain + 1.0
    chain.block  # noqa: B018 waits for the domain's answer
    return time.perf_counter() - started


def _until(end: float) -> Callable[[TensorPointer], float]:
    def work(number: TensorPointer) -> float:
        count = 0
        while time.perf_counter() < end:
            (number + 1.0).block  # noqa: B018
            count += 1
        return count

    return work


def main() -> None:
    """Serves as a worker until its standard input ends."""
    worker = Worker(sys.argv[1], Path(sys.argv[2]))
    words = {"connect": worker.connect, "pipeline": worker.pipeline, "cap": worker.cap}
    for line in sys.stdin:
        print(json.dumps(words[line.strip()]()), flush=True)
    worker.close()


if __name__ == "__main__":
    main()
