"""The DHT finds signed records and tags, believes nobody, and never waits for the dead.

Most nodes run in this process; those that are killed or frozen have one of their own.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, strategies as st
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.exceptions import StreamFailure
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.network.config import ConnectionConfig
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.utils.varint import encode_uvarint
from multiaddr import Multiaddr
from nacl.signing import SigningKey

from p2pgrid.errors import (
    AddressError,
    ExpiredRecordError,
    ForgedRecordError,
    LocalProtocolError,
    OversizedRecordError,
    PeerUnreachableError,
    RecordError,
    StaleRecordError,
)
from p2pgrid.ids import DatasetId, PeerId, peer_id_of
from p2pgrid.net import kad_server
from p2pgrid.net.dht import Dht
from p2pgrid.net.host import build_host, connect, parse_address, running
from p2pgrid.net.kademlia import Asker, contacts
from p2pgrid.protocol.records import (
    DHT_RECORD_BYTES,
    DatasetRecord,
    NodeRecord,
    SignedRecord,
    dht_key,
    sign,
    tag_key,
)

pytestmark = pytest.mark.libp2p

LISTEN = ("/ip4/127.0.0.1/tcp/0",)
TEST_S = 60.0
ROOT = Path(__file__).parents[2]
PROCESS = Path(__file__).with_name("peer_process.py")


def seed_of(number: int) -> bytes:
    return bytes([number]) * 32


def peer_of(number: int) -> PeerId:
    return peer_id_of(bytes(SigningKey(seed_of(number)).verify_key))


def record_of(number: int, *, seq: int = 1, ttl_s: int = 600, **fields: Any) -> SignedRecord:
    expires = int(time.time()) + ttl_s
    fields = {"kind": "domain", "name": "clinic", "addresses": (), **fields}
    return sign(NodeRecord(seq=seq, expires=expires, **fields), signing_key=seed_of(number))


def forged(record: SignedRecord) -> SignedRecord:
    payload = record.payload.replace(b"clinic", b"cinema")
    assert payload != record.payload
    return msgspec.structs.replace(record, payload=payload)


@dataclass(frozen=True)
class Node:
    host: Any
    dht: Dht
    peer: PeerId

    @property
    def addresses(self) -> list[str]:
        return [str(address) for address in self.host.get_addrs()]

    @property
    def contact(self) -> PeerInfo:
        return PeerInfo(self.host.get_id(), self.host.get_addrs())


@asynccontextmanager
async def node(
    number: int, *, server: bool = True, listen: Sequence[str] = LISTEN, **settings: Any
) -> AsyncIterator[Node]:
    host = build_host(seed_of(number), listen)
    async with running(host, listen):
        settings = {"now": time.time, **settings}
        yield Node(host, Dht(host, server=server, **settings), peer_of(number))


@asynccontextmanager
async def network(*numbers: int, **settings: Any) -> AsyncIterator[list[Node]]:
    """DHT servers, all of which joined the first."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(number, **settings)) for number in numbers]
        for each in nodes[1:]:
            assert await each.dht.join(nodes[0].addresses) == 1
        yield nodes


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(TEST_S):
            await work()

    trio.run(bounded)


@dataclass(frozen=True)
class Process:
    popen: "subprocess.Popen[bytes]"
    addresses: list[str]


@contextmanager
def process(number: int, **task: Any) -> Iterator[Process]:
    """A DHT server in a process of its own; see ``peer_process.py`` for ``task``."""
    task = {"seed": seed_of(number).hex(), "join": [], "records": [], "tags": [], **task}
    with subprocess.Popen(
        [sys.executable, str(PROCESS), json.dumps(task)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as popen:
        try:
            assert popen.stdout is not None
            readable, _, _ = select.select([popen.stdout], [], [], TEST_S)
            assert readable, "the process did not start"
            yield Process(popen, **json.loads(popen.stdout.readline()))
        finally:
            popen.kill()  # a stopped process, too


@pytest.fixture(scope="module")
def others() -> Iterator[list[Process]]:
    """Three servers in three processes; the second has a record, the third one and a tag."""
    with (
        process(101) as first,
        process(102, join=first.addresses, records=[encoded(record_of(102))]) as second,
        process(
            103, join=first.addresses, records=[encoded(record_of(103))], tags=["far"]
        ) as third,
    ):
        yield [first, second, third]


def encoded(record: SignedRecord) -> str:
    return record.encode().hex()


# --- records ---------------------------------------------------------------------------------


def test_a_record_put_in_one_process_is_found_from_another(others: list[Process]) -> None:
    async def work() -> None:
        async with node(1) as here:
            assert await here.dht.join(others[0].addresses) == 1
            assert set(here.dht.table) == {peer_of(101), peer_of(102), peer_of(103)}
            found = await here.dht.get_signed(peer_of(102))
            assert found.record.name == "clinic"
            assert found.signed.public_key == bytes(SigningKey(seed_of(102)).verify_key)

    run(work)


def test_a_higher_seq_replaces_a_record_everywhere(others: list[Process]) -> None:
    async def work() -> None:
        async with node(2) as writer, node(3, server=False, listen=()) as reader:
            await writer.dht.join(others[0].addresses)
            await reader.dht.join(others[1].addresses)
            await writer.dht.put(record_of(2, seq=1, name="old"))
            assert (await reader.dht.get(peer_of(2))).name == "old"
            await writer.dht.put(record_of(2, seq=2, name="new"))
            assert (await reader.dht.get(peer_of(2))).name == "new"

    run(work)


def test_a_record_outlives_its_node(others: list[Process]) -> None:
    async def work() -> None:
        async with node(4) as writer:
            await writer.dht.join(others[0].addresses)
            await writer.dht.put(record_of(4))
        async with node(5, server=False, listen=()) as reader:
            await reader.dht.join(others[2].addresses)
            assert (await reader.dht.get(peer_of(4))).seq == 1

    run(work)


def test_the_network_is_asked_although_an_old_copy_is_here() -> None:
    async def work() -> None:
        async with network(1, 2, 3) as (writer, other, reader):
            await writer.dht.put(record_of(1, seq=2))
            reader.dht._kad.hold(dht_key(writer.peer), record_of(1, seq=1).encode())
            await writer.host.close()
            assert other.peer in reader.dht.table
            assert (await reader.dht.get(writer.peer)).seq == 2

    run(work)


def test_the_copy_here_counts_when_nobody_has_one() -> None:
    async def work() -> None:
        async with node(1) as alone:
            await alone.dht.put(record_of(1))
            assert (await alone.dht.get(alone.peer)).seq == 1

    run(work)


def test_a_missing_record_is_an_error_and_soon() -> None:
    async def work() -> None:
        async with network(1, 2) as (here, _):
            with pytest.raises(PeerUnreachableError), trio.fail_after(10):
                await here.dht.get(peer_of(99))

    run(work)


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (forged(record_of(1)), ForgedRecordError),
        (record_of(1, ttl_s=0), ExpiredRecordError),
        (record_of(1, ttl_s=25 * 3600), ExpiredRecordError),
        (record_of(1, addresses=("x" * 256,) * 16), OversizedRecordError),
    ],
)
def test_a_bad_record_is_refused_here(record: SignedRecord, error: type[RecordError]) -> None:
    async def work() -> None:
        async with network(1, 2) as (here, there):
            with pytest.raises(error):
                await here.dht.put(record)
            assert there.dht._kad.held(dht_key(here.peer)) == b""

    if error is not OversizedRecordError:
        assert len(record.encode()) <= DHT_RECORD_BYTES
    run(work)


def test_only_node_records_go_into_the_dht() -> None:
    dataset = DatasetRecord(
        domain="clinic",
        dataset_id=DatasetId(b"d" * 16),
        name="blood",
        description="",
        tags=(),
        tensors=(),
        version=1,
        seq=1,
        expires=int(time.time()) + 60,
    )

    async def work() -> None:
        async with node(1) as here:
            with pytest.raises(LocalProtocolError):
                await here.dht.put(sign(dataset, signing_key=seed_of(1)))

    run(work)


def test_a_remote_store_refuses_bad_records(others: list[Process]) -> None:
    bad = {
        "forged": forged(record_of(6, seq=9)),
        "expired": record_of(6, seq=9, ttl_s=0),
        "expires too late": record_of(6, seq=9, ttl_s=25 * 3600),
        "oversized": record_of(6, seq=9, addresses=("x" * 256,) * 16),
        "older": record_of(6, seq=4),
        "of another peer": record_of(7, seq=9),
    }
    key = dht_key(peer_of(6)).encode()

    async def work() -> None:
        async with node(6) as here:
            await here.dht.join(others[0].addresses)
            await here.dht.put(record_of(6, seq=5))
            asker, remote = Asker(here.host), _contact(others[1])
            put = Message(type="PUT_VALUE", key=key)
            for name, record in bad.items():
                put.record.CopyFrom(Record(key=key, value=record.encode()))
                assert await asker.ask(remote, put, 5) is None, name
                held = await asker.ask(remote, Message(type="GET_VALUE", key=key), 5)
                assert held is not None
                assert SignedRecord.decode(held.record.value).body().seq == 5, name
            put.record.value = record_of(6, seq=6).encode()
            assert await asker.ask(remote, put, 5) is not None

    run(work)


def _contact(process: Process) -> PeerInfo:
    peer, place = parse_address(process.addresses[0])
    return PeerInfo(ID.from_string(peer), [place])


@pytest.mark.parametrize("key", [b"/ipns/x", b"/pk/x", b"anything"])
def test_a_remote_store_holds_nothing_but_our_records(key: bytes) -> None:
    async def work() -> None:
        async with network(1, 2) as (here, there):
            put = Message(type="PUT_VALUE", key=key)
            put.record.CopyFrom(Record(key=key, value=record_of(1).encode()))
            assert await Asker(here.host).ask(there.contact, put, 5) is None
            assert there.dht._kad.value_store.size() == 0

    run(work)


def test_an_older_record_is_refused_by_whoever_put_the_newer() -> None:
    async def work() -> None:
        async with node(1) as here:
            await here.dht.put(record_of(1, seq=5))
            with pytest.raises(StaleRecordError, match=r"seq 5 .* ours has 4"):
                await here.dht.put(record_of(1, seq=4))

    run(work)


def test_a_node_that_forgot_its_seq_learns_it_from_the_network() -> None:
    async def work() -> None:
        async with node(1) as other:
            async with node(2) as here:
                await here.dht.join(other.addresses)
                await here.dht.put(record_of(2, seq=5))
            async with node(2) as again:
                await again.dht.join(other.addresses)
                with pytest.raises(StaleRecordError):
                    await again.dht.put(record_of(2, seq=1))

    run(work)


def test_a_forged_answer_is_not_believed() -> None:
    async def work() -> None:
        async with network(1, 2, 3) as (liar, honest, reader):
            await honest.dht.put(record_of(2, seq=1))
            liar.dht._kad.hold(dht_key(honest.peer), forged(record_of(2, seq=9)).encode())
            assert (await reader.dht.get(honest.peer)).seq == 1

    run(work)


# --- tags ------------------------------------------------------------------------------------


def test_a_tag_is_found_from_another_process_with_a_verified_record(
    others: list[Process],
) -> None:
    async def work() -> None:
        async with node(8, server=False, listen=()) as here:
            await here.dht.join(others[0].addresses)
            ((peer, record),) = await here.dht.find("#Far")
            assert peer == peer_of(103)
            assert record.name == "clinic"

    run(work)


def test_a_provider_is_listed_once_and_dropped_without_a_record() -> None:
    async def work() -> None:
        async with network(1, 2, 3, 4) as (_, good, empty, reader):
            await good.dht.put(record_of(2))
            await good.dht.announce("mnist")
            await empty.dht.announce("mnist")
            assert sorted(await reader.dht.providers("mnist")) == sorted([good.peer, empty.peer])
            assert [peer for peer, _ in await reader.dht.find("mnist")] == [good.peer]
            assert await reader.dht.find("cifar") == ()

    run(work)


def test_providers_are_asked_for_although_some_are_known_here() -> None:
    async def work() -> None:
        async with network(1, 2, 3) as (first, second, reader):
            await first.dht.announce("mnist")
            reader.dht._kad.provider_store.providers.clear()
            await reader.dht.announce("mnist")
            assert set(await reader.dht.providers("mnist")) == {first.peer, reader.peer}
            assert len(second.dht._kad.provider_store.get_providers(tag_key("mnist"))) == 2

    run(work)


def test_a_peer_that_does_not_listen_cannot_announce() -> None:
    async def work() -> None:
        async with node(1, server=False, listen=()) as here:
            with pytest.raises(LocalProtocolError):
                await here.dht.announce("mnist")

    run(work)


def test_a_peer_may_announce_more_than_ten_tags_at_once() -> None:
    async def work() -> None:
        async with network(1, 2) as (first, second):
            for number in range(15):
                await second.dht.announce(f"tag {number}")
            assert first.dht._kad.provider_store.size() == 15

    run(work)


# --- who belongs to it -----------------------------------------------------------------------


@asynccontextmanager
async def stranger() -> AsyncIterator[Any]:
    """A stock py-libp2p host that serves Kademlia, as any IPFS node does."""
    addresses = [Multiaddr(text) for text in LISTEN]
    host = new_host(
        key_pair=create_new_key_pair(seed_of(50)),
        listen_addrs=addresses,
        connection_config=ConnectionConfig(max_connections_per_peer=1),
    )
    async with running(host, LISTEN):
        KadDHT(host, DHTMode.SERVER)
        yield host


async def _ask_raw(host: Any, peer: ID, question: Message) -> bytes:
    stream = await host.new_stream(peer, [KAD_PROTOCOL])
    body = question.SerializeToString()
    await stream.write(encode_uvarint(len(body)) + body)
    return bytes(await stream.read(1))


def test_a_stranger_gets_no_answer_and_enters_no_table() -> None:
    async def work() -> None:
        async with network(1, 2) as (first, second), stranger() as host:
            await second.dht.put(record_of(2))
            await connect(host, first.peer, first.addresses, 5)
            key = dht_key(second.peer).encode()
            for question in (
                Message(type="GET_VALUE", key=key),
                Message(type="FIND_NODE", key=key),
                Message(type="PING"),
            ):
                with pytest.raises((StreamError, StreamFailure)):
                    await _ask_raw(host, first.host.get_id(), question)
            assert first.dht.table == (second.peer,)

    run(work)


def test_a_stranger_is_neither_joined_nor_asked() -> None:
    async def work() -> None:
        async with node(1) as here, stranger() as host:
            assert await here.dht.join([str(address) for address in host.get_addrs()]) == 0
            assert here.dht.table == ()
            await here.dht.put(record_of(1))
            assert await here.dht.providers("mnist") == ()

    run(work)


def test_a_client_is_answered_but_enters_no_table() -> None:
    async def work() -> None:
        async with network(1, 2) as (first, second), node(3, server=False) as client:
            assert await client.dht.join(first.addresses) == 1
            await client.dht.put(record_of(3))
            assert KAD_PROTOCOL not in client.host.get_mux().get_protocols()
            assert set(client.dht.table) == {first.peer, second.peer}
            assert client.peer not in {*first.dht.table, *second.dht.table}
            assert (await first.dht.get(client.peer)).seq == 1

    run(work)


def test_a_client_that_restarts_as_a_server_enters_the_tables() -> None:
    async def work() -> None:
        async with node(1) as first:
            async with node(2, server=False) as client:
                await client.dht.join(first.addresses)
                assert not first.dht.table
            async with node(2) as server:
                await server.dht.join(first.addresses)
                assert first.dht.table == (server.peer,)

    run(work)


def test_a_bootstrap_address_has_to_name_its_peer() -> None:
    async def work() -> None:
        async with node(1) as here:
            with pytest.raises(AddressError):
                await here.dht.join(["/ip4/127.0.0.1/tcp/4001"])

    run(work)


# --- time ------------------------------------------------------------------------------------


def test_what_was_put_and_announced_reaches_peers_that_come_later() -> None:
    async def work() -> None:
        async with (
            network(1, 2, republish_s=0.2) as (first, second),
            node(3) as late,
            trio.open_nursery() as nursery,
        ):
            await second.dht.put(record_of(2))
            await second.dht.announce("mnist")
            await late.dht.join(first.addresses)
            arrived = _arrivals(late.dht)
            nursery.start_soon(second.dht.run)
            for event in arrived:
                await event.wait()
            assert late.dht._kad.held(dht_key(second.peer)) == record_of_held(second)
            nursery.cancel_scope.cancel()

    run(work)


def _arrivals(dht: Dht) -> tuple[trio.Event, trio.Event]:
    """Set when a record, and a provider, is stored."""
    record, provider = trio.Event(), trio.Event()
    store_record = dht._kad.value_store.put_record
    store_provider = dht._kad.provider_store.add_provider

    def put_record(*args: Any) -> None:
        store_record(*args)
        record.set()

    def add_provider(*args: Any) -> None:
        store_provider(*args)
        provider.set()

    dht._kad.value_store.put_record = put_record
    dht._kad.provider_store.add_provider = add_provider
    return record, provider


def record_of_held(owner: Node) -> bytes:
    return owner.dht._records[dht_key(owner.peer)].encode()


def test_expired_records_are_forgotten_and_no_longer_republished() -> None:
    async def work() -> None:
        clock = [time.time()]
        async with network(1, 2, now=lambda: clock[0]) as (first, second):
            await second.dht.put(record_of(2, ttl_s=600))
            clock[0] += 601
            with pytest.raises(PeerUnreachableError):
                await first.dht.get(second.peer)
            await second.dht._republish()
            assert second.dht._records == {}
            assert first.dht._kad.held(dht_key(second.peer)) != b""
            await first.dht.refresh()
            assert first.dht._kad.held(dht_key(second.peer)) == b""

    run(work)


def test_a_peer_that_lost_its_table_begins_again_where_it_joined() -> None:
    async def work() -> None:
        async with network(1, 2, 3) as (first, second, here):
            await second.dht.put(record_of(2))
            here.dht._kad.routing_table.cleanup_routing_table()
            assert (await here.dht.get(second.peer)).seq == 1
            assert set(here.dht.table) == {first.peer, second.peer}

    run(work)


def test_silent_streams_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kad_server, "SERVE_S", 30.0)

    async def work() -> None:
        async with network(1, 2, 3) as (server, rude, polite):
            await server.dht.put(record_of(1))
            for _ in range(40):
                await rude.host.new_stream(server.host.get_id(), [KAD_PROTOCOL])
            question = Message(type="GET_VALUE", key=dht_key(server.peer).encode())
            answer = await Asker(polite.host).ask(server.contact, question, 10)
            assert answer is not None
            assert answer.record.value

    run(work)


def test_a_silent_stream_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kad_server, "SERVE_S", 0.2)

    async def work() -> None:
        async with network(1, 2) as (server, rude):
            stream = await rude.host.new_stream(server.host.get_id(), [KAD_PROTOCOL])
            with pytest.raises(StreamError):
                await stream.read(1)

    run(work)


def test_a_record_is_found_after_a_holder_was_killed(others: list[Process]) -> None:
    async def work() -> None:
        with process(110, join=others[0].addresses) as victim:
            async with node(9) as writer, node(10, server=False, listen=()) as reader:
                await writer.dht.join(victim.addresses)
                await reader.dht.join(others[0].addresses)
                await writer.dht.put(record_of(9))
                assert peer_of(110) in reader.dht.table
                victim.popen.send_signal(signal.SIGKILL)
                victim.popen.wait(timeout=10)
                await writer.host.close()
                assert (await reader.dht.get(peer_of(9))).seq == 1

    run(work)


def test_a_search_ends_in_time_while_a_holder_is_frozen(others: list[Process]) -> None:
    async def work() -> None:
        async with node(11, timeout_s=4.0) as writer, node(12, timeout_s=4.0) as reader:
            await writer.dht.join(others[0].addresses)
            await reader.dht.join(others[0].addresses)
            await writer.dht.put(record_of(11))
            frozen = others[1].popen
            frozen.send_signal(signal.SIGSTOP)
            try:
                with trio.fail_after(4):
                    assert (await reader.dht.get(peer_of(11))).seq == 1
                with trio.fail_after(4), pytest.raises(PeerUnreachableError):
                    await reader.dht.get(peer_of(99))
                with trio.fail_after(4):
                    await writer.dht.put(record_of(11, seq=2))
                assert (await reader.dht.get(peer_of(11))).seq == 2
            finally:
                frozen.send_signal(signal.SIGCONT)

    run(work)


def test_no_operation_outlasts_its_deadline_when_everybody_is_frozen() -> None:
    async def work() -> None:
        with process(120) as only:
            async with node(13, timeout_s=1.0) as here:
                await here.dht.join(only.addresses)
                only.popen.send_signal(signal.SIGSTOP)
                with trio.fail_after(2.0):
                    question = Message(type="FIND_NODE", key=b"key")
                    assert await Asker(here.host).ask(_contact(only), question, 0.2) is None
                for operation in (
                    lambda: here.dht.put(record_of(13)),
                    lambda: here.dht.announce("mnist"),
                    lambda: here.dht.find("mnist"),
                    lambda: here.dht.join(only.addresses),
                    here.dht.refresh,
                ):
                    # Twice the deadline: two cores, shared with others.
                    with trio.fail_after(2.0):
                        await operation()

    run(work)


def test_a_walk_ends_at_its_deadline_whatever_its_questions_do() -> None:
    async def never(*_: Any) -> None:
        await trio.sleep_forever()

    async def work() -> None:
        async with network(1, 2, timeout_s=1.0) as (here, there):
            here.dht._asker.ask = never  # type: ignore[method-assign, assignment]
            with trio.fail_after(2.0), pytest.raises(PeerUnreachableError):
                await here.dht.get(there.peer)

    run(work)


@given(peer=st.binary(max_size=40), raw=st.lists(st.binary(max_size=20), max_size=4))
def test_no_bytes_in_an_answer_can_break_us(peer: bytes, raw: list[bytes]) -> None:
    answer = Message(type="FIND_NODE")
    answer.closerPeers.add(id=peer, addrs=raw)
    answer.closerPeers.add(id=ID.from_string(peer_of(1)).to_bytes(), addrs=[*raw, b"\xff"])
    for contact in contacts(answer.closerPeers):
        assert contact.addrs
