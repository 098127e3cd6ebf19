"""Which objects may leave for which domain: the laws, and what an old catalog allows."""

import threading
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from hypothesis import given, strategies as st

from actors.ports import DatasetEntry
from actors.pushing import Destination, Parcel, Pusher
from actors.state import State
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING
from p2pgrid.errors import MoveNotPermittedError, SchemaError, TooLargeError
from p2pgrid.ids import DatasetId, ObjectId, PeerId, peer_id_of
from p2pgrid.net.counters import Counters
from p2pgrid.policy.access import Sources, may_get
from p2pgrid.policy.moves import (
    Destinations,
    foreign_source,
    may_move,
    require_destination,
    require_move,
)
from p2pgrid.protocol.messages import Account, Role
from p2pgrid.protocol.values import MAX_TEXT, ListValue

PEERS = [peer_id_of(bytes([number]) * 32) for number in range(4)]
DATASETS = [DatasetId(bytes([number]) * 16) for number in range(4)]
UNKNOWN = DatasetId(b"?" * 16)
OBJECT = ObjectId(bytes(12) + b"\x01\x02\x03\x04")


def account(role: Role = "scientist") -> Account:
    return Account("ann", bytes(32), role)


peers = st.sampled_from(PEERS)
sources = st.frozensets(st.sampled_from([*DATASETS, UNKNOWN]))
policies = st.dictionaries(st.sampled_from(DATASETS), st.frozensets(peers))


@given(to=peers, sources=sources, allowed=policies)
def test_a_move_needs_the_permission_of_every_source(
    to: PeerId, sources: Sources, allowed: Destinations
) -> None:
    refusing = [source for source in sources if to not in allowed.get(source, frozenset())]
    assert may_move(account(), to, sources, allowed) == (not refusing)


@given(to=peers, sources=sources, allowed=policies)
def test_an_unknown_source_moves_nowhere(
    to: PeerId, sources: Sources, allowed: Destinations
) -> None:
    assert not may_move(account(), to, sources | {UNKNOWN}, allowed)


@given(to=peers, sources=sources, allowed=policies)
def test_an_owner_may_move_everything(to: PeerId, sources: Sources, allowed: Destinations) -> None:
    assert may_move(account("owner"), to, sources, allowed)


@given(to=peers, left=sources, right=sources, allowed=policies)
def test_one_more_operand_never_opens_a_way(
    to: PeerId, left: Sources, right: Sources, allowed: Destinations
) -> None:
    if may_move(account(), to, left | right, allowed):
        assert may_move(account(), to, left, allowed)
        assert may_move(account(), to, right, allowed)


@given(to=peers, other=peers, sources=sources, allowed=policies, source=st.sampled_from(DATASETS))
def test_a_permission_is_for_one_domain(
    to: PeerId, other: PeerId, sources: Sources, allowed: Destinations, source: DatasetId
) -> None:
    wider = {**allowed, source: allowed.get(source, frozenset()) | {other}}
    if other != to:
        assert may_move(account(), to, sources, wider) == may_move(account(), to, sources, allowed)


@given(to=peers, sources=sources, allowed=policies)
def test_what_is_required_is_what_is_allowed(
    to: PeerId, sources: Sources, allowed: Destinations
) -> None:
    if may_move(account(), to, sources, allowed):
        require_move(account(), OBJECT, to, sources, allowed, domain="clinic")
        return
    with pytest.raises(MoveNotPermittedError) as refused:
        require_move(account(), OBJECT, to, sources, allowed, domain="clinic")
    assert vars(refused.value) == {"object_id": "01020304", "domain": "clinic", "to": to}


def test_the_permission_to_get_is_none_to_move() -> None:
    everyone = {DATASETS[0]: frozenset({"ann"})}
    assert may_get(account(), frozenset(DATASETS[:1]), everyone)
    assert not may_move(account(), PEERS[0], frozenset(DATASETS[:1]), {})


@given(peer=peers, other=peers, name=st.sampled_from(["ann", *PEERS]), role=st.just("scientist"))
def test_what_came_from_elsewhere_is_given_to_nobody(
    peer: PeerId, other: PeerId, name: str, role: Role
) -> None:
    source = foreign_source(peer)
    everything = {dataset: frozenset({name}) for dataset in DATASETS}
    assert not may_get(Account(name, bytes(32), role), frozenset({source}), everything)
    assert (foreign_source(other) == source) == (other == peer)


@pytest.mark.parametrize("to", [PEERS[0], "", "12D3KooW", "clinic", PEERS[1] + "1"])
def test_an_object_moves_to_another_domain(to: PeerId) -> None:
    with pytest.raises(SchemaError, match=r"^to: "):
        require_destination(to, own=PEERS[0])


def test_the_peer_id_of_another_domain_is_a_destination() -> None:
    assert require_destination(PEERS[1], own=PEERS[0]) == PEERS[1]


def test_a_catalog_from_before_there_were_moves_allows_none(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    entry = DatasetEntry(DATASETS[0], "heart", "", ("bp",), frozenset({"ann"}), False, ())
    state = State(path)
    state.add_dataset(entry)
    before = msgspec.msgpack.encode(tuple(entry)[:-1])
    with state._journal.transaction() as connection:
        connection.execute("UPDATE datasets SET entry = ?", (before,))
    state.close()
    (read,) = State(path).datasets()
    assert read == entry
    assert read.allowed_domains == frozenset()


def test_where_a_dataset_may_move_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    where = frozenset(PEERS[:2])
    entry = DatasetEntry(DATASETS[0], "heart", "", (), frozenset(), False, (), where)
    state = State(path)
    state.add_dataset(entry)
    state.close()
    assert State(path).datasets() == (entry,)


def test_a_value_that_no_guest_may_send_is_refused_before_anybody_is_dialled() -> None:
    def dial(*_: object) -> NoReturn:
        raise AssertionError("nobody is to be dialled")

    pusher = Pusher(
        PEERS[0],
        dial,
        name="clinic",
        counters=Counters(),
        limits=DEFAULT_LIMITS,
        timing=DEFAULT_TIMING,
    )
    to = Destination(PEERS[1], (), OBJECT, b"capability")
    texts = ListValue(("x" * MAX_TEXT,) * 8)
    with pytest.raises(TooLargeError, match="beside its arrays") as refused:
        pusher.push(Parcel(OBJECT, texts), to, threading.Event())
    assert refused.value.size > 8 * MAX_TEXT == refused.value.limit
