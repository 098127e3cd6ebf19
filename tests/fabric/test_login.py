"""Logins and stray requests, as an attacker with our own protocol would try them."""

import time

import pytest

from p2pgrid.client.wallet import Wallet, WalletKey
from p2pgrid.errors import (
    AuthenticationError,
    ObjectGoneError,
    P2PGridError,
    PermissionDeniedError,
    PublishNotPermittedError,
    TransportError,
)
from p2pgrid.net.calls import ask
from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.messages import (
    Done,
    Enrol,
    Get,
    NewTensor,
    Op,
    Operate,
    Operated,
    Publish,
    Search,
    Value,
)
from p2pgrid.protocol.queries import Query
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.strangers import Stranger


@pytest.fixture
def owner_key(grid: Grid, bob: FabricNode) -> WalletKey:
    return Wallet(grid.home / "owner-bob" / "wallet.json").key_for(bob.node.peer_id)


def test_the_right_statement_logs_in(grid: Grid, bob: FabricNode, owner_key: WalletKey) -> None:
    session = Stranger(grid, bob).login(owner_key)
    assert (session.account, session.role) == ("owner", "owner")


def test_a_statement_is_good_for_one_link_one_node_and_a_minute(
    grid: Grid, bob: FabricNode, owner_key: WalletKey
) -> None:
    other = grid.launch("ucsf")
    first, second = Stranger(grid, bob), Stranger(grid, bob)
    texts = set()
    for wrong in (
        {"nonce": second.nonce},
        {"nonce": b"\0" * 16},
        {"audience": other.node.peer_id},
        {"peer": second.peer_id},
        {"now": time.time() - 3600},
        {"now": time.time() + 3600},
    ):
        with pytest.raises(AuthenticationError) as refused:
            first.login(owner_key, **wrong)
        texts.add(str(refused.value))
    with pytest.raises(AuthenticationError) as unknown:
        first.login(Wallet(grid.home / "eve.json").new(bob.node.peer_id, "eve"))
    assert texts == {str(unknown.value)}  # a stranger cannot tell an unknown key from a bad clock


def test_a_statement_cannot_be_replayed_on_its_own_link(
    grid: Grid, bob: FabricNode, owner_key: WalletKey
) -> None:
    stranger = Stranger(grid, bob)
    stranger.login(owner_key)
    with pytest.raises(AuthenticationError):
        stranger.login(owner_key)


def test_a_guest_may_neither_compute_nor_get_nor_publish_nor_enrol(
    grid: Grid, bob: FabricNode
) -> None:
    guest = Stranger(grid, bob)
    op = Op("copy", b"\0" * 16, (b"\1" * 16,))
    with pytest.raises(PermissionDeniedError):
        ask(guest.link, Operate(ops=(op,)), Operated)
    with pytest.raises(PermissionDeniedError):
        ask(guest.link, Get(object_id=b"\1" * 16), Value)
    with pytest.raises(PermissionDeniedError):
        ask(guest.link, Enrol(name="eve", public_key=b"\0" * 32), Done)
    with pytest.raises(PublishNotPermittedError):
        ask(guest.link, a_publish(), Done)


def test_a_session_cannot_name_the_objects_of_another(grid: Grid, bob: FabricNode) -> None:
    owner = grid.owner_of(bob)
    owner.publish("secret", [1.5, 2.5], allowed_users=("ana",))
    ana = grid.user(owner, "ana")
    mine = (ana.datasets[0].pointers[0] * 3).block
    eve = Stranger(grid, bob)
    key = Wallet(grid.home / "eve.json").new(bob.node.peer_id, "eve")
    owner.users.add("eve", key.public_key)
    prefix = eve.login(key).prefix
    with pytest.raises(ObjectGoneError):
        ask(eve.link, Get(object_id=mine._id), Value)
    stolen = Op("copy", prefix + b"\0" * 8, (mine._id,))
    answer = ask(eve.link, Operate(ops=(stolen,)), Operated)
    assert [failed.failure.code for failed in answer.failed] == [ObjectGoneError.code]
    with pytest.raises(TransportError):  # a name under somebody else's prefix: hung up on
        ask(eve.link, Operate(ops=(Op("copy", mine._id, (mine._id,)),)), Operated)
    assert mine.get().tolist() == [4.5, 7.5]


def test_a_get_by_the_right_of_an_account_that_did_not_log_in_here_is_refused(
    grid: Grid, bob: FabricNode
) -> None:
    owner = grid.owner_of(bob)
    pointer = owner.publish("secret", [1.5], allowed_users=("ana",)).pointers[0]
    grid.user(owner, "ana")
    eve = Stranger(grid, bob)
    key = Wallet(grid.home / "eve.json").new(bob.node.peer_id, "eve")
    owner.users.add("eve", key.public_key)
    eve.login(key)
    for account in ("ana", "owner", "nobody"):
        with pytest.raises(PermissionDeniedError):
            ask(eve.link, Get(object_id=pointer._id, account=account), Value)


def test_a_message_for_another_kind_of_node_ends_the_link_and_nothing_else(
    grid: Grid, bob: FabricNode
) -> None:
    stranger, bystander = Stranger(grid, bob), grid.owner_of(bob)
    with pytest.raises(TransportError):
        ask(stranger.link, Search(Query(exact_tags=("a",))), Done)
    assert [account.name for account in bystander.users.list()] == ["owner"]


def test_a_refusal_tells_the_same_whatever_the_values_are(grid: Grid, bob: FabricNode) -> None:
    owner = grid.owner_of(bob)
    texts = []
    for name, value in (("small", 0.0), ("large", 1e300)):
        owner.publish(name, [value])
        eve = grid.user(owner, f"eve-{name}")
        pointer = next(d for d in eve.datasets if d.name == name).pointers[0] / 0
        with pytest.raises(P2PGridError) as refused:
            pointer.get()
        texts.append(str(refused.value))
    assert texts[0].split("object")[0] == texts[1].split("object")[0]
    assert texts[0].split("of domain")[1] == texts[1].split("of domain")[1]


def a_publish() -> Publish:
    tensor = NewTensor("t", b"\2" * 16, ArrayHeader("float64", (0,), 0))
    return Publish(
        dataset_id=b"\1" * 16,
        name="d",
        description="",
        tags=(),
        allowed=(),
        announce=False,
        tensors=(tensor,),
    )
