"""Plain TLS 1.3 between two processes: blocking Python sockets, as fast as they simply go.

``python -m benchmarks.baselines.tls_socket FOLDER`` is the far process. It prints its port; for
each line ``receive SIZE`` or ``send SIZE`` on standard input it takes one connection, and prints
the CPU seconds that this took. What it receives goes into a file, synced before it answers; what
it sends comes from memory. ``TlsSocket`` is the near end: it sends from memory, and receives into
fresh memory.
"""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from p2pgrid.net.certificate import Certificate, client_context

BLOCK = 1 << 20
DONE = b"."

Bytes = NDArray[np.uint8]


class Cost(NamedTuple):
    """What one transfer took: seconds by the clock, and CPU seconds of both processes."""

    wall_s: float
    cpu_s: float


class TlsSocket:
    """The near end of the baseline."""

    def __init__(self, far: "subprocess.Popen[str]") -> None:
        self._far = far
        self._port = int(self._read())
        self._context = client_context()

    def send(self, data: Bytes) -> Cost:
        """Sends the data into a synced file of the far process."""
        self._write(f"receive {data.nbytes}")
        with self._connected() as connection:
            started, cpu = time.perf_counter(), time.process_time()
            _send(connection, data)
            assert connection.recv(1) == DONE
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        return Cost(wall_s, cpu_s + float(self._read()))

    def receive(self, size: int) -> Cost:
        """Receives so many bytes into fresh memory."""
        self._write(f"send {size}")
        with self._connected() as connection:
            started, cpu = time.perf_counter(), time.process_time()
            data = np.empty(size, np.uint8)
            view = data.data
            done = 0
            while done < size:
                done += connection.recv_into(view[done:])
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
            connection.sendall(DONE)
        return Cost(wall_s, cpu_s + float(self._read()))

    @contextmanager
    def _connected(self) -> Iterator[ssl.SSLSocket]:
        plain = socket.create_connection(("127.0.0.1", self._port))
        with self._context.wrap_socket(plain) as connection:
            assert connection.version() == "TLSv1.3"
            yield connection

    def _write(self, line: str) -> None:
        assert self._far.stdin is not None
        self._far.stdin.write(line + "\n")
        self._far.stdin.flush()

    def _read(self) -> str:
        assert self._far.stdout is not None
        return self._far.stdout.readline()


@contextmanager
def tls_socket(folder: Path) -> Iterator[TlsSocket]:
    """The baseline, with its far process; files go into the folder."""
    command = [sys.executable, "-m", "benchmarks.baselines.tls_socket", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as far:
        yield TlsSocket(far)
        assert far.stdin is not None
        far.stdin.close()
        assert far.wait(30) == 0


def _send(connection: ssl.SSLSocket, data: Bytes) -> None:
    view = data.data
    for start in range(0, len(view), BLOCK):
        connection.sendall(view[start : start + BLOCK])


def _receive_file(connection: ssl.SSLSocket, path: Path, size: int) -> None:
    block = memoryview(bytearray(BLOCK))
    with path.open("wb", buffering=0) as file:
        left = size
        while left:
            wanted, have = min(BLOCK, left), 0
            while have < wanted:
                have += connection.recv_into(block[have:wanted])
            file.write(block[:wanted])
            left -= wanted
        os.fsync(file.fileno())
    connection.sendall(DONE)


def main(folder: Path) -> None:
    """Serves until standard input ends."""
    context = Certificate().context
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    stored: dict[int, Bytes] = {}
    for number, line in enumerate(sys.stdin):
        mode, text = line.split()
        size = int(text)
        if mode == "send" and size not in stored:
            stored[size] = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            cpu = time.process_time()
            if mode == "send":
                _send(connection, stored[size])
                assert connection.recv(1) == DONE
            else:
                _receive_file(connection, folder / f"{number}.bin", size)
            print(time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
