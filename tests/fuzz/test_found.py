"""Bugs that fuzzing found, each with the bytes that showed it."""

import asyncio
import time
from pathlib import Path

import pytest
import trio
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from multiaddr import Multiaddr

from actors import channel, frames
from actors.catalog import Catalog
from actors.layout import NodeDirectory
from p2pgrid.client.local_list import DamagedFileWarning
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import (
    NodeError,
    RemoteProtocolError,
    UnavailableError,
    WalletError,
)
from p2pgrid.ids import ObjectId
from p2pgrid.net import dht, kad_contacts, kad_store
from p2pgrid.net.host import MAX_ADDRESSES
from p2pgrid.protocol.records import NodeRecord, dht_key
from tests.fuzz import local, net, wire

NESTED = b"\x82\xa4name" + b"\x91" * 1500 + b"\xc0\xa4type\xa4node"
"""A body whose tag comes last: msgspec skips what is before it, one call per nest."""
ENDLESS_ID = b"\x01" * (1 << 20)
SOON_S = 3.0


def test_a_nested_record_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        wire.signed(NESTED).body()


def test_the_target_of_answers_reaches_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    believed: list[bytes] = []
    check = kad_store.check

    def noted(key: str, value: bytes, *, now: float) -> NodeRecord:
        record = check(key, value, now=now)
        believed.append(value)
        return record

    monkeypatch.setattr(dht, "check", noted)
    net.dht_answer(net.dht_answers()[0])
    assert believed


def test_a_nested_record_in_an_answer_ends_no_search() -> None:
    # It ended the node's network: its refresh of the DHT died of the RecursionError.
    answer = Message(type="GET_VALUE")
    answer.record.value = wire.signed(NESTED).encode()
    net.dht_answer(net._prefixed(answer))


def test_an_endless_peer_id_in_an_answer_is_dropped_at_once() -> None:
    # Base58 takes the square of the length: a quarter of an hour in the network thread.
    answer = Message()
    answer.closerPeers.add(id=ENDLESS_ID, addrs=[net.PLACE.to_bytes()])
    began = time.process_time()
    assert kad_contacts.contacts(answer.closerPeers) == []
    assert time.process_time() - began < SOON_S


@pytest.mark.parametrize("kind", ["ADD_PROVIDER", "FIND_NODE", "GET_VALUE", "PUT_VALUE"])
def test_an_endless_peer_id_or_key_in_a_question_is_refused_at_once(kind: str) -> None:
    # libp2p puts a provider that is not the sender into a text before it ignores it.
    long_key = Message(type=kind, key=b"\x00\xf0\xff\x03" + bytes(65520))
    long_key.record.key = long_key.key
    long_id = Message(type=kind, key=dht_key(wire.PEER).encode())
    long_id.providerPeers.add(id=ENDLESS_ID[: 1 << 16], addrs=[net.PLACE.to_bytes()])
    for question in (long_key, long_id):
        began = time.process_time()
        net.dht_question(net._prefixed(question))
        assert time.process_time() - began < SOON_S


def test_a_protocol_that_is_no_text_is_one_that_nobody_speaks() -> None:
    body = net.OURS.SerializeToString() + b"\x1a\x02\xff\xfe"
    net.identify(bytes([len(body)]) + body)


def test_nobody_can_announce_tags_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kad_store, "MAX_TAGS", 2)
    server = net._server.__wrapped__()
    tags = [bytes([number]) * 32 for number in range(4)]
    addresses = [Multiaddr(f"/ip4/127.0.0.1/tcp/{port}").to_bytes() for port in range(1, 1001)]

    async def announce() -> None:
        for tag in (*tags, tags[0]):
            question = Message(type="ADD_PROVIDER", key=tag)
            question.providerPeers.add(id=net.REMOTE.to_bytes(), addrs=addresses)
            sent = net.Sent(net._prefixed(question))
            await server.handle_stream(sent)
            assert bool(sent.written) is (tag in tags[:2])

    trio.run(announce)
    assert set(server.store.providers.providers) == set(tags[:2])
    (provider,) = server.store.providers.get_providers(tags[0])
    assert len(provider.addrs) == MAX_ADDRESSES


FILES = [b"\xff", b'"\xff"', b"[" * 5000, b'{"a":' * 5000, b'[{"peer_id":"\xff"}]']


@pytest.mark.parametrize("content", FILES)
def test_known_peers_that_are_no_text_are_set_aside(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "peers.json").write_bytes(content)
    with pytest.warns(DamagedFileWarning):
        assert KnownPeers(tmp_path / "peers.json").all() == ()


NESTED_WALLETS = [
    b'{"seal":"none","content":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"seal":"none","content":[{"seed":' + b"[" * 900 + b"]" * 900 + b"}]}",
    b'{"x":' + b"[" * 5000 + b"]" * 5000 + b',"seal":"none","content":[]}',
]


@pytest.mark.parametrize("content", NESTED_WALLETS)
def test_a_nested_wallet_is_told_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(WalletError, match="damaged"):
        Wallet(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [*FILES, b"", b"0f" * 31, b"0F" * 32, b"k" * 31])
def test_a_damaged_file_of_a_node_is_a_node_error(content: bytes, tmp_path: Path) -> None:
    directory = NodeDirectory(tmp_path)
    files = (directory.settings_file, directory.owner_file, directory.identity_file)
    for path, read in zip(
        files, (directory.settings, directory.owner_key, directory.peer_id), strict=True
    ):
        path.write_bytes(content)
        with pytest.raises(NodeError, match=str(path)):
            read()


def test_a_damaged_row_of_the_catalogue_is_a_node_error() -> None:
    with pytest.raises(NodeError, match=r"node\.db"):
        Catalog(local.OneRow(b"\x97\xff")).all()


def test_the_store_serves_the_next_gateway_after_garbage() -> None:
    # The thread that serves died of the first byte that was no MessagePack.
    local.store_channel(b"\x01\0\0\0\0\0\0\0\xc1")


def test_many_buffers_take_no_square_of_their_number() -> None:
    began = time.process_time()
    assert len(frames.split(memoryview(b""), [0] * 100_000)) == 100_000
    assert time.process_time() - began < SOON_S


def test_an_answer_that_is_none_ends_what_waits_for_one(tmp_path: Path) -> None:
    # It ended the reading alone: who waited, and who came later, waited for good.
    async def scene() -> None:
        async def up() -> None:
            """Always."""

        async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\x01\0\0\0\0\0\0\0\xc1")
            writer.close()
            await writer.wait_closed()

        path = tmp_path / "s"
        async with await asyncio.start_unix_server(garbage, path):
            store = channel.ChannelStore(path, name="clinic", until_up=up)
            for _ in range(2):
                with pytest.raises(UnavailableError):
                    async with asyncio.timeout(SOON_S):
                        await store.get(ObjectId(bytes(16)))
            store.close()

    asyncio.run(scene())
