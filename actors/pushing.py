"""How a value gets from this domain into another one: dial it, upload what is large, deposit.

The network proves to each of the two who the other one is; what lets us deposit is a capability of
the receiver that names our key. All calls block, and run in threads of ``moves``.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from p2pgrid.config import Limits, Timing
from p2pgrid.errors import (
    AddressError,
    IdentityMismatchError,
    MoveFailedError,
    NetworkError,
    PeerUnreachableError,
    TooLargeError,
)
from p2pgrid.ids import ObjectId, PeerId, short
from p2pgrid.net.bulk_cargo import Outgoing
from p2pgrid.net.bulk_carrier import Carrier, close_transfers, patient_s
from p2pgrid.net.bulk_ends import Source
from p2pgrid.net.calls import ask
from p2pgrid.net.counters import Counters
from p2pgrid.net.link import Link
from p2pgrid.protocol import faults
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Deposit, Done, Opened, OpenUpload
from p2pgrid.protocol.values import Value

log = logging.getLogger(__name__)

LinkTo = Callable[[PeerId, Sequence[str]], Link]

_encoder = msgspec.msgpack.Encoder()


class Parcel(NamedTuple):
    """A value on its way; its buffers are in the message, or they are what ``source`` gives."""

    object_id: ObjectId
    value: Value
    buffers: Sequence[Buffer] = ()
    source: Source | None = None

    def close(self) -> None:
        """Gives up what it holds."""
        if self.source is not None:
            self.source.close()


class Destination(NamedTuple):
    """Where a value goes: a name in a session of another domain, and what lets us in."""

    peer: PeerId
    addresses: Sequence[str]
    out: ObjectId
    capability: bytes


class Pusher:
    """Pushes values of one domain to others, over links of the domain's own peer."""

    def __init__(
        self,
        own_id: PeerId,
        link_to: LinkTo,
        *,
        name: str,
        counters: Counters,
        limits: Limits,
        timing: Timing,
    ) -> None:
        """``counters`` count the bytes that go by bulk ports."""
        self._own_id, self._link_to, self._name = own_id, link_to, name
        self._counters, self._limits, self._timing = counters, limits, timing

    def push(self, parcel: Parcel, to: Destination, stop: threading.Event) -> None:
        """Returns when the other domain has the whole value.

        Raises:
            MoveFailedError: it cannot be reached, or the way there broke.
            P2PGridError: it refused; what it said is public.
        """
        try:
            self._push(parcel, to, stop)
        except (PeerUnreachableError, IdentityMismatchError, AddressError) as error:
            raise self._failed(parcel, to, "unreachable", error) from error
        except NetworkError as error:
            if faults.is_public(error):
                raise
            raise self._failed(parcel, to, "interrupted", error) from error

    def _push(self, parcel: Parcel, to: Destination, stop: threading.Event) -> None:
        message = Deposit(to.out, parcel.value, to.capability)
        size = len(_encoder.encode(message))
        room = self._limits.guest_frame - self._limits.inline_array
        if size > room:  # the receiver may not know us better than any guest
            raise TooLargeError(what="bytes of a value beside its arrays", size=size, limit=room)
        if parcel.source is None:
            ask(self._link_to(to.peer, to.addresses), message, Done, parcel.buffers)
            return
        self._upload(parcel.source, to, stop)
        message = replace(message, uploaded=True)
        ask(self._link_to(to.peer, to.addresses), message, Done)

    def _upload(self, source: Source, to: Destination, stop: threading.Event) -> None:
        request = OpenUpload(to.out, "uint8", (source.size,), to.capability)
        timeout_s = patient_s(source.size, self._timing)
        cargo = Outgoing(to.out, source, stop)

        def open_(_: bytes, __: int) -> tuple[Link, Opened]:
            link = self._link_to(to.peer, to.addresses)
            return link, ask(link, request, Opened, timeout_s=timeout_s)

        carrier = Carrier(
            lambda: self._own_id, to.peer, timing=self._timing, counters=self._counters
        )
        try:
            carrier.carry(cargo, open_, lambda _: None)
        except BaseException:
            if cargo.link is not None:
                close_transfers(cargo.link, (to.out,), wait_s=0)
            raise

    def _failed(
        self, parcel: Parcel, to: Destination, reason: str, error: Exception
    ) -> MoveFailedError:
        log.warning("move failed", extra={"peer": to.peer, "cause": type(error).__name__})
        named = short(parcel.object_id)
        return MoveFailedError(object_id=named, domain=self._name, to=to.peer, reason=reason)
