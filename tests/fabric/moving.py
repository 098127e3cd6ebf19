"""What tests of moves have in common: what goes over the wire, and a receiver without a node."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from p2pgrid import DomainClient
from p2pgrid.errors import P2PGridError
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Inbound
from p2pgrid.net.memory import MemoryStream
from p2pgrid.protocol import faults
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Done, Message, MoveObject
from tests.fabric.conftest import Grid


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


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Records what is sent from now on."""
    recorded, send = Wire(), MemoryStream.send

    async def watched(stream: MemoryStream, chunks: list[Buffer]) -> None:
        recorded.frames.append((stream.other.peer, stream.peer, b"".join(chunks)))
        await send(stream, chunks)

    monkeypatch.setattr(MemoryStream, "send", watched)
    return recorded


class Deposited(NamedTuple):
    """A message that a receiver got, and the arrays beside it."""

    message: Message
    buffers: list[bytes]


class Receiver:
    """A peer that notes what other domains send, and answers as it is told."""

    def __init__(self, grid: Grid) -> None:
        self.got: list[Deposited] = []
        self.answers: list[Message] = []
        """Given one by one; ``Done`` when there are none left."""
        peer = grid.memory.peer(secrets.token_bytes(32), on_request=self._on_request)
        peer.start()
        self.peer_id = peer.peer_id

    def _on_request(self, inbound: Inbound) -> None:
        self.got.append(Deposited(inbound.message, [bytes(it) for it in inbound.buffers]))
        inbound.answer(self.answers.pop(0) if self.answers else Done())

    def refuses(self, error: P2PGridError) -> None:
        """Answers the next request with an error."""
        self.answers.append(faults.failure_of(error))


def move(
    domain: DomainClient, object_id: bytes, to: PeerId, *, out: bytes = b"to.session.0001."
) -> None:
    """Asks a domain to push an object; nobody looks at the capability."""
    message = MoveObject(object_id, to, ("/ip4/192.0.2.1/tcp/1",), b"capability", out)
    ask(domain.link(), message, Done)


@contextmanager
def refused(kind: type[P2PGridError]) -> Iterator[pytest.ExceptionInfo[P2PGridError]]:
    """Expects an error, and that it is told as it is."""
    with pytest.raises(kind) as caught:
        yield caught
    assert type(caught.value) is kind
