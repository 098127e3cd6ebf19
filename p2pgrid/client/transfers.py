"""Large arrays between this program and one domain, and what a person may say and see of them."""

import secrets
import threading
from collections.abc import Callable
from typing import NamedTuple

from p2pgrid.client.progress import ProgressBar
from p2pgrid.config import Timing
from p2pgrid.ids import ID_BYTES, PeerId
from p2pgrid.net.bulk_cargo import Incoming, Outgoing
from p2pgrid.net.bulk_carrier import Carrier, Open, close_transfers
from p2pgrid.net.bulk_ends import Sink, Source
from p2pgrid.net.counters import Counters


class Wishes(NamedTuple):
    """What a caller may say of a transfer."""

    progress: bool | None = None
    """Whether to show a bar; None: when standard error is a terminal."""
    stop: threading.Event | None = None
    """Set it, from any thread, to stop the transfer."""


class Transfers:
    """Carries arrays to and from one domain."""

    def __init__(self, own_id: Callable[[], PeerId], domain: PeerId, *, timing: Timing) -> None:
        self._carrier = Carrier(own_id, domain, timing=timing)

    @property
    def counters(self) -> Counters:
        """Bytes by the bulk port."""
        return self._carrier.counters

    def upload(
        self, transfer_id: bytes, source: Source, open_: Open, *, label: str, wishes: Wishes
    ) -> None:
        """Sends all of an array; durable at the domain when this returns.

        Raises:
            TransferCancelledError: ``wishes.stop`` was set.
            DiskFullError: the domain has no room.
            TransportError: it could not be sent, again and again.
        """
        cargo = Outgoing(transfer_id, source, wishes.stop or threading.Event())
        with ProgressBar(label, source.size, progress=wishes.progress) as bar:
            self._carrier.carry(cargo, open_, bar.update)

    def download(self, sink: Sink, size: int, open_: Open, *, label: str, wishes: Wishes) -> None:
        """Receives ``size`` bytes into a sink; raises as ``upload`` does."""
        stop = wishes.stop or threading.Event()
        cargo = Incoming(secrets.token_bytes(ID_BYTES), sink, size, stop)
        try:
            with ProgressBar(label, size, progress=wishes.progress) as bar:
                self._carrier.carry(cargo, open_, bar.update)
        finally:
            cargo.receiver.close()
            if cargo.link is not None:
                close_transfers(cargo.link, (cargo.transfer_id,), wait_s=0)
