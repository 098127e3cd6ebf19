"""Nodes of a DHT for its tests: most in this process, some in one of their own."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import trio
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from nacl.signing import SigningKey

from p2pgrid.ids import DatasetId, PeerId, peer_id_of
from p2pgrid.net.addresses import parse_address
from p2pgrid.net.dht import Dht
from p2pgrid.net.host import build_host, running
from p2pgrid.protocol.records import DatasetRecord, NodeRecord, SignedRecord, sign
from p2pgrid.protocol.secret import Secret

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


def dataset_of(number: int) -> SignedRecord:
    """A good record, but not one that the DHT holds."""
    body = DatasetRecord(
        domain="clinic",
        dataset_id=DatasetId(b"d" * 16),
        name="blood",
        description="",
        tags=(),
        tensors=(),
        version=1,
        seq=9,
        expires=int(time.time()) + 60,
    )
    return sign(body, signing_key=seed_of(number))


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
    number: int,
    *,
    server: bool = True,
    listen: Sequence[str] = LISTEN,
    key: Secret | None = None,
    **settings: Any,
) -> AsyncIterator[Node]:
    host = build_host(seed_of(number), listen, network_key=key)
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


def encoded(record: SignedRecord) -> str:
    return record.encode().hex()


def contact_of(process: Process) -> PeerInfo:
    peer, place = parse_address(process.addresses[0])
    return PeerInfo(ID.from_string(peer), [place])
