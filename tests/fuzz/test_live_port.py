"""A live node outlives whatever comes to its port, and serves others meanwhile."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO

import psutil
import pytest
import trio
from nacl.signing import SigningKey

from p2pgrid.ids import PeerId
from p2pgrid.net.peer import libp2p_peer
from p2pgrid.protocol.messages import Begin, Challenge
from tests.fuzz.attacks import ATTACKS, Victim

pytestmark = pytest.mark.libp2p

ROOT = Path(__file__).parents[2]
SEED = b"s" * 32
WAIT_S = 60.0
PROMPT_S = 3.0
GROWTH_BYTES = 64 << 20
EXPECTED = (b"peer broke the protocol",)


@dataclass(frozen=True)
class Live:
    """The node's process; what it logs from warnings on is in ``errors``."""

    popen: "subprocess.Popen[bytes]"
    address: str
    errors: IO[bytes]

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.popen.pid)

    @property
    def peer(self) -> PeerId:
        return self.victim.peer

    @property
    def victim(self) -> Victim:
        return Victim(self.address, SEED, time.time())

    def serves_honest_people(self) -> None:
        """A newcomer gets an answer, promptly."""
        peer = libp2p_peer(os.urandom(32), listen=(), on_request=lambda _: None)
        peer.start()
        try:
            began = time.monotonic()
            reply = peer.link_to(self.peer, (self.address,)).request(Begin()).result(WAIT_S)
            assert isinstance(reply.message, Challenge)
            assert time.monotonic() - began < PROMPT_S
        finally:
            peer.stop()

    def logged(self) -> list[bytes]:
        """Lines of the log that hostile peers should not be able to cause."""
        self.errors.seek(0)
        return [line for line in self.errors.read().splitlines() if line not in EXPECTED]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    task = {
        "directory": str(folder / "node"),
        "port": _free_port(),
        "scientist": bytes(SigningKey(SEED).verify_key).hex(),
    }
    with (
        (folder / "errors").open("w+b") as errors,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.fuzz.live_node", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
        ) as popen,
    ):
        assert popen.stdout is not None
        assert popen.stdin is not None
        readable, _, _ = select.select([popen.stdout], [], [], WAIT_S)
        assert readable, "the node did not start"
        node = Live(popen, json.loads(popen.stdout.readline()), errors)
        try:
            yield node
            popen.stdin.close()
            assert popen.wait(WAIT_S) == 0
        finally:
            popen.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def withstands(live: Live, attack: str, *, seed: int) -> None:
    live.serves_honest_people()
    before = live.process.num_fds(), live.process.memory_info().rss
    trio.run(ATTACKS[attack], live.victim, Random(seed))  # noqa: S311
    live.serves_honest_people()
    deadline = time.monotonic() + WAIT_S
    while live.process.num_fds() > before[0]:
        assert time.monotonic() < deadline, "sockets stay open"
        os.sched_yield()
    assert live.process.memory_info().rss - before[1] < GROWTH_BYTES
    assert live.logged() == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_node_withstands(live: Live, attack: str) -> None:
    withstands(live, attack, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_node_withstands_it_again_and_again(live: Live, attack: str) -> None:
    for seed in range(2, 32):
        withstands(live, attack, seed=seed)
