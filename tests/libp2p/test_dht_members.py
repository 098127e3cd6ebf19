"""Who belongs to the DHT, and what it does in time: the killed, the frozen and the silent."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given, strategies as st
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.exceptions import StreamFailure
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.network.config import ConnectionConfig
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.utils.varint import encode_uvarint
from multiaddr import Multiaddr

from p2pgrid.errors import AddressError, PeerUnreachableError
from p2pgrid.net import kad_server
from p2pgrid.net.dht import Dht
from p2pgrid.net.host import running
from p2pgrid.net.kad_asker import Asker
from p2pgrid.net.kad_contacts import contacts
from p2pgrid.protocol.records import dht_key
from tests.libp2p.dht_nodes import (
    LISTEN,
    Node,
    Process,
    contact_of,
    network,
    node,
    peer_of,
    process,
    record_of,
    run,
    seed_of,
)

pytestmark = pytest.mark.libp2p


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
            await host.connect(first.contact)
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
            assert late.dht._kad.store.held(dht_key(second.peer)) == record_of_held(second)
            nursery.cancel_scope.cancel()

    run(work)


def _arrivals(dht: Dht) -> tuple[trio.Event, trio.Event]:
    """Set when a record, and a provider, is stored."""
    record, provider = trio.Event(), trio.Event()
    hold = dht._kad.store.hold
    store_provider = dht._kad.store.providers.add_provider

    def held(*args: Any) -> None:
        hold(*args)
        record.set()

    def add_provider(*args: Any) -> None:
        store_provider(*args)
        provider.set()

    dht._kad.store.hold = held  # type: ignore[method-assign, assignment]
    dht._kad.store.providers.add_provider = add_provider
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
            assert first.dht._kad.store.held(dht_key(second.peer)) != b""
            await first.dht.refresh()
            assert first.dht._kad.store.held(dht_key(second.peer)) == b""

    run(work)


def test_a_peer_that_lost_its_table_begins_again_where_it_joined() -> None:
    async def work() -> None:
        async with network(1, 2, 3) as (first, second, here):
            await second.dht.put(record_of(2))
            here.dht._kad.table.cleanup_routing_table()
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
        reading = node(12, timeout_s=4.0, fresh_s=0.0)
        async with node(11, timeout_s=4.0) as writer, reading as reader:
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
                    assert await Asker(here.host).ask(contact_of(only), question, 0.2) is None
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
