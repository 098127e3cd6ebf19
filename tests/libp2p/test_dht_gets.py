"""What a get asks, whom, and how often: streams that stay open, a quorum, a cache, suspects."""

import signal
import time
from typing import Any

import pytest
import trio
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL
from libp2p.kad_dht.pb.kademlia_pb2 import Message

from p2pgrid.errors import PeerUnreachableError
from p2pgrid.net import kad_server
from p2pgrid.net.kad_asker import STREAMS_PER_PEER
from p2pgrid.net.kad_client import GRACE_S, QUORUM
from p2pgrid.net.kad_stream import KadStream
from p2pgrid.protocol.records import dht_key
from tests.libp2p.dht_nodes import Node, Process, network, node, peer_of, process, record_of, run

pytestmark = pytest.mark.libp2p

PING = Message(type=Message.PING)


def opened(host: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The protocols of the streams that the host opens from now on."""
    protocols: list[str] = []
    new_stream = host.new_stream

    async def noted(peer: Any, wanted: Any) -> Any:
        protocols.extend(wanted)
        return await new_stream(peer, wanted)

    monkeypatch.setattr(host, "new_stream", noted)
    return protocols


def questions(here: Node, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the node asks from now on."""
    asked: list[Message] = []
    ask = here.dht._asker.ask

    async def noted(contact: Any, question: Message, timeout_s: float) -> Message | None:
        asked.append(question)
        return await ask(contact, question, timeout_s)

    monkeypatch.setattr(here.dht._asker, "ask", noted)
    return asked


def test_questions_to_a_peer_share_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with network(1, 2) as (first, second):
            streams = opened(second.host, monkeypatch)
            for _ in range(5):
                assert await second.dht._asker.ask(first.contact, PING, 5.0) is not None
            assert streams == []  # joining opened one

    run(work)


def test_many_questions_at_once_take_few_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with network(1, 2) as (first, second), trio.open_nursery() as nursery:
            streams = opened(second.host, monkeypatch)
            for _ in range(10):
                nursery.start_soon(second.dht._asker.ask, first.contact, PING, 5.0)
        assert streams.count(KAD_PROTOCOL) < STREAMS_PER_PEER

    run(work)


def test_a_stream_that_the_peer_has_cut_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kad_server, "IDLE_S", 0.0)

    async def work() -> None:
        async with network(1, 2) as (first, second):
            for _ in range(5):
                assert await second.dht._asker.ask(first.contact, PING, 5.0) is not None

    run(work)


def test_a_question_that_was_cut_off_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[KadStream] = []
    reset = KadStream.reset

    async def noted(stream: KadStream) -> None:
        resets.append(stream)
        await reset(stream)

    async def work() -> None:
        async with network(1, 2) as (first, second):
            monkeypatch.setattr(KadStream, "reset", noted)
            for _ in range(kad_server.TURNS):
                await first.dht._kad._turns.acquire_on_behalf_of(object())
            assert await second.dht._asker.ask(first.contact, PING, 0.1) is None
            assert len(resets) == 1  # or its answer would be taken for that of the next
            first.dht._kad._turns.total_tokens += 1
            get = Message(type=Message.GET_VALUE, key=b"key")
            answer = await second.dht._asker.ask(first.contact, get, 5.0)
            assert answer is not None
            assert answer.type == Message.GET_VALUE

    run(work)


def test_the_newest_of_several_answers_wins() -> None:
    async def work() -> None:
        async with network(1, 2, 3, 4) as (first, second, third, reader):
            key = dht_key(peer_of(99))
            for holder, seq in ((first, 1), (second, 3), (third, 2)):
                holder.dht._kad.store.hold(key, record_of(99, seq=seq).encode())
            assert (await reader.dht.get(peer_of(99))).seq == 3

    run(work)


def test_a_get_ends_with_enough_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with network(*range(1, 9)) as (*holders, reader):
            for holder in holders:
                holder.dht._kad.store.hold(dht_key(peer_of(99)), record_of(99).encode())
            asked = questions(reader, monkeypatch)
            assert (await reader.dht.get(peer_of(99))).seq == 1
            assert QUORUM <= len(asked) < len(holders)

    run(work)


def test_a_record_is_asked_for_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        clock = [time.time()]
        async with network(1, 2, fresh_s=30.0, now=lambda: clock[0]) as (first, reader):
            key = dht_key(peer_of(99))
            first.dht._kad.store.hold(key, record_of(99, seq=1).encode())
            assert (await reader.dht.get(peer_of(99))).seq == 1
            first.dht._kad.store.hold(key, record_of(99, seq=2).encode())
            asked = questions(reader, monkeypatch)
            assert (await reader.dht.get(peer_of(99))).seq == 1
            assert asked == []
            clock[0] += 30.0
            assert (await reader.dht.get(peer_of(99))).seq == 2
            first.dht._kad.store.hold(key, record_of(99, seq=1).encode())
            clock[0] += 30.0
            assert (await reader.dht.get(peer_of(99))).seq == 2  # never back

    run(work)


def test_a_newer_record_that_is_put_here_counts_at_once() -> None:
    async def work() -> None:
        async with network(1, 2) as (first, reader):
            first.dht._kad.store.hold(dht_key(reader.peer), record_of(2, seq=1).encode())
            assert (await reader.dht.get(reader.peer)).seq == 1
            await reader.dht.put(record_of(2, seq=2))
            assert (await reader.dht.get(reader.peer)).seq == 2

    run(work)


def test_what_was_not_found_is_asked_for_again() -> None:
    async def work() -> None:
        async with network(1, 2) as (first, reader):
            with pytest.raises(PeerUnreachableError, match="no valid record"):
                await reader.dht.get(peer_of(99))
            first.dht._kad.store.hold(dht_key(peer_of(99)), record_of(99).encode())
            assert (await reader.dht.get(peer_of(99))).seq == 1

    run(work)


def test_gets_do_not_wait_for_a_frozen_peer(others: list[Process]) -> None:
    async def work() -> None:
        with process(130, join=others[0].addresses) as frozen:
            async with node(21) as writer, node(22, fresh_s=0.0) as reader:
                await writer.dht.join(others[0].addresses)
                await reader.dht.join(others[0].addresses)
                assert peer_of(130) in reader.dht.table
                await writer.dht.put(record_of(23))
                frozen.popen.send_signal(signal.SIGSTOP)
                began = trio.current_time()
                for _ in range(4):
                    assert (await reader.dht.get(peer_of(23))).seq == 1
                # py-libp2p waits ten seconds for it, each time.
                assert trio.current_time() - began < 4 * GRACE_S

    run(work)
