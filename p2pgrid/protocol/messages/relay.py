"""Places at a relay, for domains that take no connections."""

from typing import Annotated

from msgspec import Meta

from p2pgrid.protocol.messages.base import BaseMessage
from p2pgrid.protocol.relay import PipeTicket, Service

MAX_RELAY_ADDRESS = 160

"""With the peer that it leads to behind it, it fits into a record."""


class Reserve(BaseMessage, frozen=True, tag="reserve"):
    """A domain that listed itself at a network asks for a place at its relay; see ``Reserved``."""


class Reserved(BaseMessage, frozen=True, tag="reserved"):
    """The place holds as long as this link; the relay takes pipes at these multiaddrs."""

    addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=MAX_RELAY_ADDRESS)], ...],
        Meta(min_length=1, max_length=4),
    ]


class Incoming(BaseMessage, frozen=True, tag="incoming"):
    """A relay tells a peer with a place: somebody dials; bring a pipe, with this ticket."""

    ticket: PipeTicket
    service: Service
