"""A network in another process that lies: what its clients believe, and how soon they are done."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from p2pgrid import Client
from p2pgrid.client.asking import MISCOUNTED, MISMATCH, REPEATED, UNREADABLE
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.results import SearchResults
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import DEFAULT_TIMING
from p2pgrid.errors import (
    IdentityMismatchError,
    NetworkUnreachableError,
    RemoteProtocolError,
    RemoteTimeoutError,
    TransportError,
)
from tests.libp2p.conftest import ROOT
from tests.libp2p.lying_network import CLAIM, TRUE
from tests.unit.hits import peer_of

pytestmark = pytest.mark.libp2p

SEARCH_S = 1.5
FORGED = "a record is not signed by who it names"
EXPIRED = "a record has expired (or our clock is wrong)"


@dataclass(frozen=True)
class Liar:
    popen: "subprocess.Popen[str]"
    address: str


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "libp2p" / "lying_network.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as popen:
        try:
            assert popen.stdout is not None
            yield Liar(popen, json.loads(popen.stdout.readline())["addresses"][0])
        finally:
            popen.kill()


@pytest.fixture
def someone(tmp_path: Path) -> Iterator[Client]:
    timing = replace(DEFAULT_TIMING, search_s=SEARCH_S)
    client = Client(tmp_path, wallet=Wallet(tmp_path / "wallet.json"), timing=timing)
    yield client
    client.close()


@pytest.fixture
def network(someone: Client, liar: Liar) -> NetworkClient:
    found = someone.connect(liar.address)
    assert isinstance(found, NetworkClient)
    return found


def names(found: SearchResults) -> list[str]:
    return [dataset.name for dataset in found.datasets()]


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ("forged", [(FORGED, 1)]),
        ("stale", [(REPEATED, 1)]),  # the older ones are no news, and no lie that can be proved
        ("expired", [(EXPIRED, 1)]),
        ("eternal", [(EXPIRED, 1)]),
        ("garbage", [(UNREADABLE, 2)]),
        ("mismatch", [(MISMATCH, 1)]),
        ("repeated", [(REPEATED, 999)]),
        ("miscounted", [(MISCOUNTED, 1)]),
    ],
)
def test_c22_what_signatures_show_is_dropped_and_told(
    network: NetworkClient, lie: str, told: list[tuple[str, int]]
) -> None:
    found = network.search(lie)
    assert names(found) == ["true"]
    assert [(problem, times) for _, problem, times in found.rejected] == told
    assert found.counts.datasets == 1
    assert not found.partial


def test_c22_a_record_signed_by_another_is_of_another(network: NetworkClient) -> None:
    """It names the domain, but the key is the identity."""
    found = network.search("foreign")
    assert {d.domain.peer_id for d in found.datasets()} == {peer_of(TRUE), peer_of("liar")}
    assert all(label.startswith(f"{TRUE}@") for label in found)


def test_c22_what_was_left_out_cannot_be_told(network: NetworkClient) -> None:
    found = network.search("omitted")
    assert names(found) == []
    assert not found.partial
    assert not found.rejected


def test_c22_totals_are_claims_unless_all_was_given(network: NetworkClient) -> None:
    found = network.search("claimed")
    assert found.counts == CLAIM
    assert found.partial
    assert "counts are claims of liar; datasets listed: 1" in repr(found)


@pytest.mark.parametrize(
    ("lie", "problem"), [("endless", "has more than the 8 answers"), ("circle", "after place 7")]
)
def test_c27_pages_without_end_end_soon(network: NetworkClient, lie: str, problem: str) -> None:
    found = network.search(lie)
    assert names(found) == ["true"]
    assert problem in found.missing[0].problem


@pytest.mark.parametrize("lie", ["oversized", "crowded", "another"])
def test_c27_what_breaks_the_protocol_is_no_answer(network: NetworkClient, lie: str) -> None:
    with pytest.raises((RemoteProtocolError, TransportError)):
        network.search(lie)
    assert names(network.search("repeated")) == ["true"]


@pytest.mark.parametrize("is_frozen", [False, True])
def test_c27_a_network_that_does_not_answer_holds_up_a_search_for_its_time(
    network: NetworkClient, liar: Liar, is_frozen: bool
) -> None:
    began = time.monotonic()
    if is_frozen:
        liar.popen.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises((RemoteTimeoutError, NetworkUnreachableError)):
            network.search("silent")
    finally:
        liar.popen.send_signal(signal.SIGCONT)
    assert time.monotonic() - began < 2 * SEARCH_S


def test_c07_an_impostor_is_found_out_when_the_domain_is_dialled(network: NetworkClient) -> None:
    """The address is that of the network; the key that answers there is not the domain's."""
    (dataset,) = network.search("impostor").datasets()
    assert dataset.domain.peer_id == peer_of(TRUE)
    with pytest.raises(IdentityMismatchError):
        dataset.domain.link()
