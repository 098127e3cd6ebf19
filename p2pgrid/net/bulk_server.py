"""The bulk port: lets in whoever shows the token of a ticket, and does the ticket's work.

Rule 1: a ticket is good for one connection, one piece of work, and ``ticket_s`` seconds.
Rule 2: strangers are few and brief: of more than ``Limits.strangers`` that have shown no token the
oldest is hung up on, and each of them after ``hello_s``.
Rule 3: at most one connection works on a transfer; who revokes waits until that one has ended.
"""

import contextlib
import errno
import logging
import math
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from p2pgrid.config import Limits, Timing
from p2pgrid.errors import NodeError, P2PGridError, PortInUseError
from p2pgrid.ids import PeerId
from p2pgrid.net.bulk_pipe import Pipe
from p2pgrid.net.certificate import Certificate
from p2pgrid.net.counters import Counters
from p2pgrid.protocol.bulk import HELLO_BYTES, PROOF_BYTES, Binding, is_proof, read_hello
from p2pgrid.protocol.messages import TOKEN_BYTES, Ticket

log = logging.getLogger(__name__)

Work = Callable[[Pipe], None]

BACKLOG = 64
PAUSE_S = 0.2
"""After a failed ``accept``, which may be for want of descriptors."""


class _Job(NamedTuple):
    proof: bytes
    good_until: float
    work: Work


class _Worker(NamedTuple):
    stop: threading.Event
    over: threading.Event


class BulkServer:
    """Listens in a thread of its own; every connection has one, too."""

    def __init__(
        self, *, host: str, port: int, peer_id: PeerId, limits: Limits, timing: Timing
    ) -> None:
        self.counters = Counters()
        self._address = (host, port)
        self._peer_id, self._limits, self._timing = peer_id, limits, timing
        certificate = Certificate()
        self._context, self._fingerprint = certificate.context, certificate.sha256
        self._lock = threading.Lock()
        self._jobs: dict[bytes, _Job] = {}
        self._workers: dict[bytes, _Worker] = {}
        self._strangers: dict[ssl.SSLSocket, None] = {}
        self._no_job = _Job(secrets.token_bytes(PROOF_BYTES), -math.inf, lambda _: None)
        self._closing = threading.Event()

    def start(self) -> None:
        """Listens.

        Raises:
            PortInUseError, NodeError: it cannot.
        """
        host, port = self._address
        try:
            self._listener = socket.create_server((host, port), backlog=BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(port=port) from error
            raise NodeError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._accept_all, name="p2pgrid-bulk", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._listener.getsockname()[1])

    def issue(self, client: PeerId, transfer_id: bytes, work: Work) -> Ticket:
        """A ticket for one connection of a peer; what went before for the transfer is revoked."""
        self.revoke(transfer_id)
        token = secrets.token_bytes(TOKEN_BYTES)
        proof = Binding(client, self._peer_id, self._fingerprint, transfer_id).proof(token)
        good_until = time.monotonic() + self._timing.ticket_s
        with self._lock:
            self._jobs[transfer_id] = _Job(proof, good_until, work)
        return Ticket(port=self.port, fingerprint=self._fingerprint, token=token)

    def revoke(self, transfer_id: bytes) -> None:
        """Voids the ticket and ends the connection of a transfer; returns when it has ended."""
        with self._lock:
            self._jobs.pop(transfer_id, None)
            worker = self._workers.get(transfer_id)
        if worker is not None:
            worker.stop.set()
            worker.over.wait()

    def is_at_work(self, transfer_id: bytes) -> bool:
        """Whether a connection works on the transfer now."""
        return transfer_id in self._workers

    def close(self) -> None:
        """Ends every connection and frees the port; twice is as once."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        with self._lock:
            for stranger in self._strangers:
                _hang_up(stranger)
            workers = tuple(self._workers)
        for transfer_id in workers:
            self.revoke(transfer_id)

    def _accept_all(self) -> None:
        while not self._closing.is_set():
            try:
                plain, _ = self._listener.accept()
                stranger = self._context.wrap_socket(
                    plain, server_side=True, do_handshake_on_connect=False
                )
            except OSError:
                self._closing.wait(PAUSE_S)
            else:
                self._admit(stranger)

    def _admit(self, stranger: ssl.SSLSocket) -> None:
        stranger.settimeout(self._timing.hello_s)
        with self._lock:
            if len(self._strangers) >= self._limits.strangers:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                _hang_up(oldest)
            self._strangers[stranger] = None
        threading.Thread(
            target=self._serve, args=(stranger,), name="p2pgrid-bulk", daemon=True
        ).start()

    def _serve(self, stranger: ssl.SSLSocket) -> None:
        try:
            stranger.do_handshake()
            hello = self._pipe(stranger, self._timing.hello_s, self._closing).read(HELLO_BYTES)
            self._work(stranger, *read_hello(hello))
        except (OSError, P2PGridError) as error:
            log.info("bulk connection ended", extra={"cause": type(error).__name__})
        finally:
            with self._lock:
                self._strangers.pop(stranger, None)
            stranger.close()

    def _work(self, connection: ssl.SSLSocket, transfer_id: bytes, proof: bytes) -> None:
        worker = _Worker(threading.Event(), threading.Event())
        work = self._claim(connection, transfer_id, proof, worker)
        if work is None:
            log.warning("a connection to the bulk port showed no good token")
            return
        try:
            work(self._pipe(connection, self._timing.stall_s, worker.stop))
        finally:
            with self._lock:
                del self._workers[transfer_id]
            worker.over.set()

    def _pipe(self, connection: ssl.SSLSocket, stall_s: float, stop: threading.Event) -> Pipe:
        return Pipe(connection, stall_s=stall_s, stop=stop, counters=self.counters)

    def _claim(
        self, connection: ssl.SSLSocket, transfer_id: bytes, proof: bytes, worker: _Worker
    ) -> Work | None:
        """Burns the ticket that fits the proof; None when there is none."""
        with self._lock:
            job = self._jobs.get(transfer_id, self._no_job)
            is_good = is_proof(proof, job.proof) and time.monotonic() <= job.good_until
            is_free = transfer_id not in self._workers and connection in self._strangers
            if not is_good or not is_free:
                return None
            del self._jobs[transfer_id]
            del self._strangers[connection]
            self._workers[transfer_id] = worker
            return job.work


def _hang_up(connection: ssl.SSLSocket) -> None:
    """Wakes the thread that reads from a connection; that thread closes it.

    Not by the method of ``SSLSocket``, which would let the thread go on without TLS.
    """
    with contextlib.suppress(OSError):  # it is over already
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
