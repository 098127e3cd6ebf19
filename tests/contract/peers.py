"""Peers to be linked, over memory or over libp2p."""

import queue
from collections.abc import Callable
from typing import Any

from p2pgrid.net.link import Inbound, Link, Reply
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.queries import Query
from tests.contract.worlds import LISTEN, seed_of

WAIT_S = 30.0


def echo(inbound: Inbound) -> None:
    inbound.answer(inbound.message, inbound.buffers)


class Grid:
    """Makes peers, and stops at the end what still runs."""

    def __init__(self, make_peer: Callable[..., Peer]) -> None:
        self._make_peer = make_peer
        self._peers: list[Peer] = []
        self.over: queue.Queue[Link] = queue.Queue()

    def unstarted(self, number: int, **settings: Any) -> Peer:
        settings = {
            "listen": LISTEN, "on_request": echo, "on_over": self.over.put, **settings
        }  # fmt: skip
        peer = self._make_peer(seed_of(number), **settings)
        self._peers.append(peer)
        return peer

    def peer(self, number: int, **settings: Any) -> Peer:
        peer = self.unstarted(number, **settings)
        peer.start()
        return peer

    def stop(self) -> None:
        for peer in self._peers:
            peer.stop()


def link(near: Peer, far: Peer) -> Link:
    return near.link_to(far.peer_id, far.addresses)


def ask(near: Peer, far: Peer, text: str = "hello") -> Reply:
    return link(near, far).request(Search(Query(exact_tags=(text,)))).result(WAIT_S)
