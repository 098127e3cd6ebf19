"""What tests of moves have in common: two domains, what goes over the wire, a bare receiver."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actors.host_channel import bytes_of
from actors.node import Node
from p2pgrid import ActorPointer, DomainClient, TensorPointer
from p2pgrid.errors import P2PGridError
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Inbound
from p2pgrid.net.memory import MemoryStream
from p2pgrid.policy.objects import PREFIX_BYTES
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Done, Message, MoveObject
from tests.fabric import exported
from tests.fabric.conftest import FabricNode, Grid, domain_at


class Wire:
    """Every frame between the peers of a grid."""

    def __init__(self) -> None:
        self.frames: list[tuple[PeerId, PeerId, bytes]] = []

    def into(self, peer: PeerId) -> bytes:
        """All that has come to a peer."""
        return b"".join(frame for _, to, frame in self.frames if to == peer)

    def between(self, sender: PeerId, receiver: PeerId) -> bytes:
        """All that one peer has sent to another one."""
        pair = (sender, receiver)
        return b"".join(frame for *ends, frame in self.frames if tuple(ends) == pair)


@contextmanager
def watched() -> Iterator[Wire]:
    """Records what is sent from now on."""
    recorded, send = Wire(), MemoryStream.send

    async def noted(stream: MemoryStream, chunks: Sequence[Buffer]) -> None:
        recorded.frames.append((stream.other.peer, stream.peer, b"".join(chunks)))
        await send(stream, chunks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryStream, "send", noted)
        yield recorded


class Got(NamedTuple):
    """A message that a receiver got, and the arrays beside it."""

    message: Message
    buffers: list[bytes]


class Receiver:
    """A peer that notes what other domains send, and answers as it is told."""

    def __init__(self, grid: Grid) -> None:
        self.got: list[Got] = []
        self.answers: list[Message] = []
        """Given one by one; ``Done`` when there are none left."""
        peer = grid.memory.peer(secrets.token_bytes(32), on_request=self._on_request)
        peer.start()
        self.peer_id = peer.peer_id

    def _on_request(self, inbound: Inbound) -> None:
        self.got.append(Got(inbound.message, [bytes(it) for it in inbound.buffers]))
        inbound.answer(self.answers.pop(0) if self.answers else Done())


def move(
    domain: DomainClient, object_id: bytes, to: PeerId, *, out: bytes = b"to.session.0001."
) -> None:
    """Asks a domain to push an object; nobody looks at the capability."""
    message = MoveObject(object_id, to, ("/ip4/192.0.2.1/tcp/1",), b"capability", out)
    ask(domain.link(), message, Done)


@contextmanager
def refused(kind: type[P2PGridError]) -> Iterator[pytest.ExceptionInfo[P2PGridError]]:
    """Expects an error of exactly this class."""
    with pytest.raises(kind) as caught:
        yield caught
    assert type(caught.value) is kind


class Two:
    """A clinic that has data, a hospital that exports actors, and ann, who has accounts at both."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.clinic, self.hospital = grid.launch("clinic"), grid.launch("hospital")
        for node in (self.clinic, self.hospital):
            node.exports.add(Path(exported.__file__))
            node.stop()
            node.start()
        self.owners = {it: grid.owner_of(it) for it in (self.clinic, self.hospital)}
        self.ann = grid.client("ann")
        self.data, self.actors = (self._joined(it) for it in (self.clinic, self.hospital))

    def _joined(self, node: FabricNode) -> DomainClient:
        owner = self.owners[node]
        self.ann.wallet.new(owner.peer_id, "ann")
        owner.users.add("ann", self.ann.wallet.public_key(owner.peer_id, "ann"))
        return domain_at(self.ann, node.address).login("ann")

    def publish(self, name: str, values: Array, **allowed: Any) -> TensorPointer:
        """A tensor of the clinic, as ann sees it; it may move to the hospital."""
        allowed = {"allowed_domains": self.actors.peer_id, **allowed}
        self.owners[self.clinic].publish(name, values, **allowed)
        pointer: TensorPointer = next(it for it in self.data.datasets if it.name == name).pointers[
            0
        ]
        return pointer

    def stats(self) -> ActorPointer:
        """An actor of the hospital."""
        return self.actors.actors["Stats"].remote()


def kept(node: Node, out: bytes) -> list[bytes]:
    """The arrays of what was deposited, as the node keeps them: it lets nobody take them home."""
    service: Any = node._service
    result = service.calls.results_of(out[:PREFIX_BYTES]).get(out)
    return [bytes(bytes_of(it)) for it in result.buffers]
