"""Drives a ``Lookup``: puts its questions, as many at once as it says, and tells it the answers.

py-libp2p's own lookups answer from the local copy, wait ten seconds for each frozen peer, keep
nothing of what came before a deadline, and ask every peer that they meet.
"""

import math
from collections.abc import Awaitable, Callable

import trio
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.peer.peerinfo import PeerInfo

from p2pgrid.net.kad_contacts import contacts
from p2pgrid.net.kad_lookup import Lookup

Ask = Callable[[PeerInfo], Awaitable[Message | None]]
Heard = Callable[[PeerInfo, Message], int]


async def walk(lookup: Lookup, ask_one: Ask, heard: Heard) -> None:
    """Asks until the lookup is over; what is in flight then is cancelled.

    Args:
        lookup: With some peers to begin with.
        ask_one: Puts the question to one peer; has to end by itself.
        heard: Called with each answer as it comes, so that a cancelled walk is not for nothing;
            how many hits it counts as.
    """
    send, receive = trio.open_memory_channel[tuple[PeerInfo, Message | None]](math.inf)

    async def put_question(contact: PeerInfo) -> None:
        send.send_nowait((contact, await ask_one(contact)))

    async with trio.open_nursery() as nursery:
        while not lookup.over:
            for contact in lookup.take(now=trio.current_time()):
                nursery.start_soon(put_question, contact)
            with trio.move_on_at(lookup.wake_at(now=trio.current_time())):
                contact, answer = await receive.receive()
                if answer is None:
                    lookup.failed(contact.peer_id)
                else:
                    lookup.add(contacts(answer.closerPeers))
                    lookup.answered(contact.peer_id, hits=heard(contact, answer))
        nursery.cancel_scope.cancel()
