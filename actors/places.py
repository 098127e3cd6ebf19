"""The domain's side of being relayed: its places at networks, and the pipes that they ask for."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from actors.gateway import Answer, Handler, LinkSession
from p2pgrid.errors import (
    NetworkError,
    PermissionDeniedError,
    RemoteProtocolError,
    UnavailableError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.addresses import circuits
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.messages import Done, Incoming, Message, Reserve, Reserved

log = logging.getLogger(__name__)

WEBSOCKET = "/tls/ws"


class Place(NamedTuple):
    """What we have of a relay."""

    addresses: tuple[str, ...]
    """Where others reach us by it."""
    relays: tuple[str, ...]
    """Where it takes our pipes; the way on which we reach it comes first."""


class Places:
    """One place at the relay of each network; kept when a link breaks, until it is back."""

    def __init__(self, peer: Peer, *, name: str, bulk_port: Callable[[], int | None]) -> None:
        self._peer, self._name, self._bulk_port = peer, name, bulk_port
        self._places: dict[PeerId, Place] = {}
        self.handlers: Mapping[type[Message], Handler] = MappingProxyType(
            {Incoming: self._incoming}
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach us, by the relays."""
        places = tuple(self._places.values())  # another thread may add one
        return tuple(address for place in places for address in place.addresses)

    def take(self, network: str, link: Link) -> None:
        """Asks a network for a place, or for the same again; blocks until it answers.

        Args:
            network: the multiaddr at which we reach it: pipes are brought the same way.
            link: to the network, where we have listed ourselves.

        Raises:
            AddressError: it tells addresses that nobody could dial.
            BusyError: all its places are taken.
            TransportError, RemoteProtocolError: it did not answer, or not with a place.
        """
        try:
            answer = link.request(Reserve()).result().message
        except PermissionDeniedError:
            log.warning("this network relays nobody", extra={"network": network})
            return
        if not isinstance(answer, Reserved):
            raise RemoteProtocolError("a request for a place was answered with something else")
        by_websocket = WEBSOCKET in network
        same_way = sorted(answer.addresses, key=lambda it: (WEBSOCKET in it) is not by_websocket)
        relays = (network, *same_way) if by_websocket else tuple(same_way)
        addresses = circuits(answer.addresses, self._peer.peer_id)
        self._places[link.peer] = Place(addresses, relays)

    async def _incoming(self, session: LinkSession, message: Incoming, _: object) -> Answer:
        """Somebody dials us at a relay: brings the pipe that is asked for."""
        place = self._places.get(session.link.peer)
        if place is None:
            raise RemoteProtocolError("a pipe was asked for by a peer that is not our relay")
        bulk_port = self._bulk_port()
        try:
            await asyncio.to_thread(self._peer.bring, message, place.relays, bulk_port=bulk_port)
        except (OSError, NetworkError) as error:
            log.warning("no pipe brought", extra={"cause": str(error)})
            raise UnavailableError(domain=self._name) from error
        return Answer(Done())
