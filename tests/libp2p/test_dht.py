"""The DHT finds signed records and tags, and believes nobody."""

import pytest
import trio
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from nacl.signing import SigningKey

from p2pgrid.errors import (
    ExpiredRecordError,
    ForgedRecordError,
    LocalProtocolError,
    OversizedRecordError,
    PeerUnreachableError,
    RecordError,
    StaleRecordError,
)
from p2pgrid.net.kad_asker import Asker
from p2pgrid.protocol.records import (
    DHT_RECORD_BYTES,
    SignedRecord,
    dht_key,
    tag_key,
)
from tests.libp2p.dht_nodes import (
    Process,
    contact_of,
    dataset_of,
    forged,
    network,
    node,
    peer_of,
    record_of,
    run,
    seed_of,
)

pytestmark = pytest.mark.libp2p


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
        client = node(3, server=False, listen=(), fresh_s=0.0)
        async with node(2) as writer, client as reader:
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
            reader.dht._kad.store.hold(dht_key(writer.peer), record_of(1, seq=1).encode())
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
            assert there.dht._kad.store.held(dht_key(here.peer)) == b""

    if error is not OversizedRecordError:
        assert len(record.encode()) <= DHT_RECORD_BYTES
    run(work)


def test_only_node_records_go_into_the_dht() -> None:
    async def work() -> None:
        async with node(1) as here:
            with pytest.raises(LocalProtocolError):
                await here.dht.put(dataset_of(1))

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
            asker, remote = Asker(here.host), contact_of(others[1])
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


@pytest.mark.parametrize("key", [b"/ipns/x", b"/pk/x", b"anything"])
def test_a_remote_store_holds_nothing_but_our_records(key: bytes) -> None:
    async def work() -> None:
        async with network(1, 2) as (here, there):
            put = Message(type="PUT_VALUE", key=key)
            put.record.CopyFrom(Record(key=key, value=record_of(1).encode()))
            assert await Asker(here.host).ask(there.contact, put, 5) is None
            assert there.dht._kad.store.records == {}

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
            liar.dht._kad.store.hold(dht_key(honest.peer), forged(record_of(2, seq=9)).encode())
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
            reader.dht._kad.store.providers.providers.clear()
            await reader.dht.announce("mnist")
            assert set(await reader.dht.providers("mnist")) == {first.peer, reader.peer}
            assert len(second.dht._kad.store.providers.get_providers(tag_key("mnist"))) == 2

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
            assert first.dht._kad.store.providers.size() == 15

    run(work)
