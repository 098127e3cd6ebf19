"""Objects that leave a domain: where they may go, and that nothing else of them does."""

from collections.abc import Iterator

import numpy as np
import pytest

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.errors import (
    BusyError,
    CapabilityError,
    DiskFullError,
    DuplicateError,
    InternalError,
    MoveFailedError,
    MoveNotPermittedError,
    ObjectGoneError,
    P2PGridError,
    PermissionDeniedError,
    QuotaExceededError,
    SchemaError,
    ShapeError,
)
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import Array, ArrayHeader
from p2pgrid.protocol.bulk import LINK_CHUNK_BYTES
from p2pgrid.protocol.messages import (
    Deposit,
    Durable,
    Opened,
    OpenUpload,
)
from p2pgrid.protocol.values import ArrayValue
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.moving import Receiver, Wire, move, refused, watched

HEART = np.linspace(60.125, 180.375, 53)
LARGE = np.arange(90_011.0)
"""Over ``Limits.inline``."""
NOBODY = peer_id_of(bytes(range(32)))


@pytest.fixture
def wire() -> Iterator[Wire]:
    with watched() as wire:
        yield wire


@pytest.fixture
def receiver(grid: Grid) -> Receiver:
    return Receiver(grid)


@pytest.fixture
def node(grid: Grid) -> FabricNode:
    return grid.launch("clinic")


@pytest.fixture
def owner(grid: Grid, node: FabricNode, receiver: Receiver) -> DomainClient:
    owner = grid.owner_of(node)
    owner.publish("open", {"x": HEART, "y": LARGE}, allowed_domains=receiver.peer_id)
    owner.publish("elsewhere", {"x": HEART, "y": LARGE}, allowed_domains=(NOBODY,))
    owner.publish("closed", {"x": HEART, "y": LARGE}, allowed_users=("ana",))
    return owner


@pytest.fixture
def ana(grid: Grid, owner: DomainClient) -> DomainClient:
    return grid.user(owner, "ana")


def pointer(domain: DomainClient, dataset: str, name: str = "x") -> TensorPointer:
    pointer: TensorPointer = next(it for it in domain.datasets if it.name == dataset)[name]
    return pointer


def moves_in(node: FabricNode) -> list[tuple[str, str, str]]:
    return [
        (event.account, event.target, event.outcome)
        for event in node.state.audit_log()
        if event.action == "move"
    ]


def deposited(receiver: Receiver) -> Array:
    message, buffers = receiver.got[-1]
    assert isinstance(message, Deposit)
    assert isinstance(message.value, ArrayValue)
    header = message.value.header
    return np.frombuffer(b"".join(buffers), header.dtype).reshape(header.shape)


def test_a_tensor_moves_where_its_owner_allows_it(
    node: FabricNode, ana: DomainClient, receiver: Receiver
) -> None:
    heart = pointer(ana, "open")
    move(ana, heart._id, receiver.peer_id)
    np.testing.assert_array_equal(deposited(receiver), HEART)
    assert [type(it.message) for it in receiver.got] == [Deposit]
    target = f"{heart._id[-4:].hex()} to {receiver.peer_id}"
    assert moves_in(node) == [("ana", target, "given")]


def test_a_result_moves_where_all_its_sources_may(ana: DomainClient, receiver: Receiver) -> None:
    twice = (pointer(ana, "open") * 2).block
    move(ana, twice._id, receiver.peer_id)
    np.testing.assert_array_equal(deposited(receiver), 2 * HEART)
    both = (pointer(ana, "open") + 0 * pointer(ana, "closed")).block
    with refused(MoveNotPermittedError):
        move(ana, both._id, receiver.peer_id)
    assert len(receiver.got) == 1


def test_the_program_that_asks_gets_none_of_the_data(
    ana: DomainClient, receiver: Receiver, wire: Wire
) -> None:
    me = ana._peer.peer_id
    move(ana, pointer(ana, "open")._id, receiver.peer_id)
    assert HEART.tobytes() in wire.into(receiver.peer_id)
    assert HEART[:2].tobytes() not in wire.into(me)
    assert ana.link().array_bytes_received == 0


@pytest.mark.parametrize("dataset", [("closed", "x"), ("closed", "y"), ("elsewhere", "y")])
def test_a_refused_move_sends_nothing_to_anybody(
    node: FabricNode, ana: DomainClient, receiver: Receiver, wire: Wire, dataset: tuple[str, str]
) -> None:
    closed = pointer(ana, *dataset)
    before = len(wire.frames)
    with refused(MoveNotPermittedError) as caught:
        move(ana, closed._id, receiver.peer_id)
    assert vars(caught.value) == {
        "object_id": closed._id[-4:].hex(),
        "domain": "clinic",
        "to": receiver.peer_id,
    }
    assert receiver.got == []
    assert {to for _, to, _ in wire.frames[before:]} == {ana._peer.peer_id, ana.peer_id}
    assert [outcome for *_, outcome in moves_in(node)] == ["refused"]


def test_an_owner_moves_everything(owner: DomainClient, receiver: Receiver) -> None:
    move(owner, pointer(owner, "closed")._id, receiver.peer_id)
    np.testing.assert_array_equal(deposited(receiver), HEART)


def test_a_guest_moves_nothing(grid: Grid, node: FabricNode, owner: DomainClient) -> None:
    heart = pointer(owner, "open")._id
    guest = grid.client("guest").connect(node.address)
    assert isinstance(guest, DomainClient)
    with pytest.raises(PermissionDeniedError):
        move(guest, heart, NOBODY)


@pytest.mark.parametrize("to", ["own", "clinic", "12D3KooW"])
def test_an_object_moves_to_another_domain_only(ana: DomainClient, to: str) -> None:
    there = PeerId(ana.peer_id if to == "own" else to)
    with pytest.raises(SchemaError, match=r"^to: "):
        move(ana, pointer(ana, "open")._id, there)


def test_what_does_not_exist_does_not_move(ana: DomainClient, receiver: Receiver) -> None:
    with pytest.raises(ObjectGoneError):
        move(ana, bytes(16), receiver.peer_id)
    operands = (pointer(ana, "open")._id, pointer(ana, "open", "y")._id)
    poisoned, batch = ana.session_for(()).apply("matmul", operands, ())
    assert batch.settled.wait(10)
    with pytest.raises(ShapeError):
        move(ana, poisoned, receiver.peer_id)
    assert receiver.got == []


def test_nobody_at_the_destination_is_told(ana: DomainClient, receiver: Receiver) -> None:
    heart = pointer(ana, "elsewhere")._id
    with refused(MoveFailedError) as caught:
        move(ana, heart, NOBODY)
    assert vars(caught.value) == {
        "object_id": heart[-4:].hex(),
        "domain": "clinic",
        "to": NOBODY,
        "reason": "unreachable",
    }
    assert receiver.got == []


@pytest.mark.parametrize(
    "error",
    [
        BusyError(limit=4),
        CapabilityError(reason="expired", domain="there"),
        DiskFullError(needed=5, free=3),
        DuplicateError(what="deposit", name="01020304"),
        ObjectGoneError(object_id="session of 01020304", domain="there"),
        QuotaExceededError(what="bytes", needed=5, limit=3),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("name", ["x", "y"])
def test_what_the_receiver_says_is_told_as_it_is(
    ana: DomainClient, receiver: Receiver, error: P2PGridError, name: str
) -> None:
    receiver.answers.append(faults.failure_of(error))
    with refused(type(error)) as caught:
        move(ana, pointer(ana, "open", name)._id, receiver.peer_id)
    assert vars(caught.value) == vars(error)
    assert len(receiver.got) == 1


def test_a_receiver_that_answers_nonsense_is_no_receiver(
    ana: DomainClient, receiver: Receiver
) -> None:
    receiver.answers.append(Durable(5))
    with refused(MoveFailedError) as caught:
        move(ana, pointer(ana, "open")._id, receiver.peer_id)
    assert vars(caught.value)["reason"] == "interrupted"


def test_the_mistakes_of_a_receiver_have_its_reference(
    ana: DomainClient, receiver: Receiver
) -> None:
    receiver.answers.append(faults.internal("cafe0001"))
    with refused(InternalError):
        move(ana, pointer(ana, "open")._id, receiver.peer_id)


def test_a_large_object_goes_as_bytes_before_its_message(
    ana: DomainClient, receiver: Receiver
) -> None:
    receiver.answers += [Opened(LARGE.nbytes, 0), *_durable(LARGE.nbytes)]
    move(ana, pointer(ana, "open", "y")._id, receiver.peer_id, out=b"to.session.large")
    first, *chunks, last = receiver.got
    assert first.message == OpenUpload(b"to.session.large", "uint8", (LARGE.nbytes,), b"capability")
    assert b"".join(it.buffers[0] for it in chunks) == LARGE.tobytes()
    header = ArrayHeader("float64", LARGE.shape, 0)
    assert last.message == Deposit(
        b"to.session.large", ArrayValue(header), b"capability", uploaded=True
    )
    assert last.buffers == []


def _durable(size: int) -> list[Durable]:
    ends = [*range(LINK_CHUNK_BYTES, size, LINK_CHUNK_BYTES), size]
    return [Durable(end) for end in ends]
