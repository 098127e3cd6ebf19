"""Large arrays between this peer and another one, whatever breaks on the way.

A transfer is opened on the control stream, which says where it goes on. Its bytes take the bulk
port; where that cannot be reached, or breaks again and again, they take the control stream, few at
a time, so that operations and heartbeats pass between them.
"""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import wait

from p2pgrid.config import Timing
from p2pgrid.errors import (
    IdentityMismatchError,
    NetworkError,
    RemoteProtocolError,
    TransferCancelledError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.bulk import OnDurable
from p2pgrid.net.bulk_cargo import Incoming, Outgoing
from p2pgrid.net.bulk_pipe import Pipe, dial
from p2pgrid.net.counters import Counters
from p2pgrid.net.link import Link
from p2pgrid.protocol.messages import CloseTransfer, Opened

log = logging.getLogger(__name__)

BREAKS = 2
"""So many broken connections without progress, and the control stream takes over."""
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
SLOW_DISK_BYTES_PER_S = 50e6
"""What a disk reserves or spools at least, beside the time of a request."""

Open = Callable[[bytes, int], tuple[Link, Opened]]
"""Opens or resumes a transfer of this id at this offset."""


class Patience:
    """Pauses between attempts, until there was no progress for too long."""

    def __init__(self, patience_s: float, stop: threading.Event) -> None:
        self._patience_s, self._stop = patience_s, stop
        self.restart()

    def restart(self) -> None:
        """There was progress."""
        self._until = time.monotonic() + self._patience_s
        self._pause_s = FIRST_PAUSE_S

    def pause(self, error: TransportError) -> None:
        """Waits, or raises the error when it is final or was the last."""
        if not error.retryable or time.monotonic() + self._pause_s > self._until:
            raise error
        self._stop.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


class Carrier:
    """Carries arrays to and from one peer; see the head of the module."""

    def __init__(
        self,
        own_id: Callable[[], PeerId],
        peer: PeerId,
        *,
        timing: Timing,
        counters: Counters | None = None,
    ) -> None:
        self.counters = counters or Counters()
        """Bytes by the bulk port."""
        self._own_id, self._peer, self._timing = own_id, peer, timing
        self._unreachable: Link | None = None
        """The link over which we learned that the bulk port cannot be reached."""

    def carry(self, cargo: Outgoing | Incoming, open_: Open, on_durable: OnDurable) -> None:
        """Moves all of an array; durable at the receiver when this returns.

        Raises:
            TransferCancelledError: the cargo's ``stop`` was set.
            DiskFullError: the receiver has no room.
            TransportError: it could not be moved, again and again.
        """
        patience = Patience(self._timing.patience_s, cargo.stop)
        breaks = 0
        while not cargo.progress.is_whole:
            before = cargo.progress.durable
            try:
                self._attempt(cargo, open_, on_durable, may_dial=breaks < BREAKS)
            except TransportError as error:
                if cargo.stop.is_set():
                    progress = cargo.progress
                    raise TransferCancelledError(
                        durable=progress.durable, size=progress.size
                    ) from None
                if cargo.link is None:
                    raise  # it has not begun
                log.info("transfer broke", extra={"cause": type(error).__name__})
                breaks += 1
                if cargo.progress.durable > before:
                    breaks = 0
                    patience.restart()
                patience.pause(error)

    def _attempt(
        self, cargo: Outgoing | Incoming, open_: Open, on_durable: OnDurable, *, may_dial: bool
    ) -> None:
        cargo.check_stop()
        link, opened = open_(cargo.transfer_id, cargo.progress.durable)
        cargo.begin(link, opened)
        on_durable(cargo.progress.durable)
        if cargo.progress.is_whole:
            return
        dialled = self._dial(cargo, link, opened) if may_dial else None
        if dialled is None:
            cargo.by_link(link, on_durable)
            return
        connection, pipe = dialled
        with connection:
            try:
                cargo.by_socket(pipe, on_durable)
            except RemoteProtocolError as error:
                raise TransportError("the bulk connection carried a damaged chunk") from error

    def _dial(
        self, cargo: Outgoing | Incoming, link: Link, opened: Opened
    ) -> tuple[socket.socket, Pipe] | None:
        """A connection to the bulk port; None where there is none, or somebody else answers."""
        if opened.ticket is None or link is self._unreachable:
            return None
        try:
            plain = link.connect("bulk", opened.ticket.port, timeout_s=self._timing.connect_s)
            return dial(
                plain,
                opened.ticket,
                client=self._own_id(),
                server=self._peer,
                transfer_id=cargo.transfer_id,
                timing=self._timing,
                stop=cargo.stop,
                counters=self.counters,
            )
        except (TransportError, IdentityMismatchError) as error:
            log.warning("no bulk connection", extra={"cause": type(error).__name__})
            self._unreachable = link
            return None


def patient_s(size: int, timing: Timing) -> float:
    """How long a peer may take to make room for, or to spool, so many bytes."""
    return timing.request_s + size / SLOW_DISK_BYTES_PER_S


def close_transfers(link: Link, transfer_ids: Iterable[bytes], *, wait_s: float) -> None:
    """Tells the peer that transfers are over; one that does not hear it finds out itself."""
    with contextlib.suppress(NetworkError):
        wait([link.request(CloseTransfer(it)) for it in transfer_ids], timeout=wait_s)
