"""Large arrays between this program and one domain, whatever breaks on the way.

A transfer is opened on the control stream, which says where it goes on. Its bytes take the bulk
port; where that cannot be reached, or breaks again and again, they take the control stream, few at
a time, so that operations and heartbeats pass between them.
"""

import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from typing import NamedTuple

from p2pgrid.client.cargo import Incoming, Outgoing
from p2pgrid.client.progress import ProgressBar
from p2pgrid.config import Timing
from p2pgrid.errors import (
    IdentityMismatchError,
    NetworkError,
    RemoteProtocolError,
    TransferCancelledError,
    TransportError,
)
from p2pgrid.ids import ID_BYTES, PeerId
from p2pgrid.net.bulk_ends import Sink, Source
from p2pgrid.net.bulk_pipe import Pipe, dial
from p2pgrid.net.counters import Counters
from p2pgrid.net.link import Link
from p2pgrid.protocol.messages import CloseTransfer, Opened

log = logging.getLogger(__name__)

BREAKS = 2
"""So many broken connections without progress, and the control stream takes over."""
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0

Open = Callable[[bytes, int], tuple[Link, Opened]]
"""Opens or resumes a transfer of this id at this offset."""


class Wishes(NamedTuple):
    """What a caller may say of a transfer."""

    progress: bool | None = None
    """Whether to show a bar; None: when standard error is a terminal."""
    stop: threading.Event | None = None
    """Set it, from any thread, to stop the transfer."""


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


class Transfers:
    """Carries arrays to and from one domain; see the head of the module."""

    def __init__(self, own_id: Callable[[], PeerId], domain: PeerId, *, timing: Timing) -> None:
        self.counters = Counters()
        """Bytes by the bulk port."""
        self._own_id, self._domain, self._timing = own_id, domain, timing
        self._unreachable: Link | None = None
        """The link over which we learned that the bulk port cannot be reached."""

    def upload(
        self, transfer_id: bytes, source: Source, open_: Open, *, label: str, wishes: Wishes
    ) -> None:
        """Sends all of an array; durable at the domain when this returns.

        Raises:
            TransferCancelledError: ``wishes.stop`` was set.
            DiskFullError: the domain has no room.
            TransportError: it could not be sent, again and again.
        """
        stop = wishes.stop or threading.Event()
        cargo = Outgoing(transfer_id, source, stop)
        with ProgressBar(label, source.size, progress=wishes.progress) as bar:
            self._carry(cargo, open_, bar)

    def download(self, sink: Sink, size: int, open_: Open, *, label: str, wishes: Wishes) -> None:
        """Receives ``size`` bytes into a sink; raises as ``upload`` does."""
        stop = wishes.stop or threading.Event()
        cargo = Incoming(secrets.token_bytes(ID_BYTES), sink, size, stop)
        try:
            with ProgressBar(label, size, progress=wishes.progress) as bar:
                self._carry(cargo, open_, bar)
        finally:
            cargo.receiver.close()
            if cargo.link is not None:
                close_transfers(cargo.link, (cargo.transfer_id,), wait_s=0)

    def _carry(self, cargo: Outgoing | Incoming, open_: Open, bar: ProgressBar) -> None:
        patience = Patience(self._timing.patience_s, cargo.stop)
        breaks = 0
        while not cargo.progress.is_whole:
            before = cargo.progress.durable
            try:
                self._attempt(cargo, open_, bar, may_dial=breaks < BREAKS)
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
        self, cargo: Outgoing | Incoming, open_: Open, bar: ProgressBar, *, may_dial: bool
    ) -> None:
        cargo.check_stop()
        link, opened = open_(cargo.transfer_id, cargo.progress.durable)
        cargo.begin(link, opened)
        bar.update(cargo.progress.durable)
        if cargo.progress.is_whole:
            return
        dialled = self._dial(cargo, link, opened) if may_dial else None
        if dialled is None:
            cargo.by_link(link, bar.update)
            return
        connection, pipe = dialled
        with connection:
            try:
                cargo.by_socket(pipe, bar.update)
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
                server=self._domain,
                transfer_id=cargo.transfer_id,
                timing=self._timing,
                stop=cargo.stop,
                counters=self.counters,
            )
        except (TransportError, IdentityMismatchError) as error:
            log.warning("no bulk connection", extra={"cause": type(error).__name__})
            self._unreachable = link
            return None


def close_transfers(link: Link, transfer_ids: Iterable[bytes], *, wait_s: float) -> None:
    """Tells the domain that transfers are over; a domain that does not hear it finds out itself."""
    with contextlib.suppress(NetworkError):
        wait([link.request(CloseTransfer(it)) for it in transfer_ids], timeout=wait_s)
