"""The steps of the doctor, one after the other: the first that fails or hangs is the answer."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from typing_extensions import override

from p2pgrid.client import doctor
from p2pgrid.client.doctor import STEPS, Case, Step, examine, find
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import (
    AddressError,
    ClockSkewError,
    PeerUnreachableError,
    RemoteTimeoutError,
    UnknownPeerError,
)
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.link import Link

PEER = peer_id_of(bytes(range(32)))
ADDRESS = f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}"
NAMES = [step.name for step in STEPS]
SOON_S = 0.2
PROMISED_S = 10.0


class Ways:
    """A way on which nothing fails before there is a link."""

    peer_id = PEER

    def names(self, addresses: Sequence[str]) -> tuple[str, ...]:
        return tuple(address for address in addresses if "dns" in address)

    def resolve(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
        assert peer == PEER
        return tuple(addresses)

    reach = resolve

    def through_relays(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...] | None:
        good = self.resolve(peer, [it for it in addresses if "/tcp/4003/" not in it])
        return good if any("p2p-circuit" in it for it in addresses) else None

    def shake_hands(self, peer: PeerId, addresses: Sequence[str]) -> None:
        assert peer == PEER
        assert addresses

    def link(self, peer: PeerId, addresses: Sequence[str]) -> Link:
        raise PeerUnreachableError(peer=peer, addresses=len(addresses), reason="no link here")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(PEER, (ADDRESS,), Ways(), Wallet(tmp_path / "wallet.json"))


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def with_steps(monkeypatch: pytest.MonkeyPatch, act: Callable[[str, Case], str | None]) -> None:
    steps = tuple(Step(it.name, partial(act, it.name), it.advice) for it in STEPS)
    monkeypatch.setattr(doctor, "STEPS", steps)


def test_the_steps_are_those_that_are_promised() -> None:
    assert set(NAMES) == {"name", "TCP", "noise", "relay", "version", "clock", "account"}


@pytest.mark.parametrize("broken", NAMES)
def test_what_comes_after_the_step_that_fails_is_not_tried(
    case: Case, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def act(name: str, case: Case) -> str:
        if name == broken:
            raise PeerUnreachableError(peer=case.peer, addresses=1, reason="it is broken")
        return "fine"

    with_steps(monkeypatch, act)
    findings = examine(case)
    place = NAMES.index(broken)
    outcomes = ["ok"] * place + ["failed"] + ["not tried"] * (len(NAMES) - place - 1)
    assert [it.outcome for it in findings] == outcomes
    assert "it is broken" in findings[place].found
    assert [bool(it.advice) for it in findings] == [it.outcome == "failed" for it in findings]


@pytest.mark.parametrize("hanging", NAMES)
def test_a_step_that_hangs_is_the_answer_when_the_time_is_up(
    case: Case, monkeypatch: pytest.MonkeyPatch, never: threading.Event, hanging: str
) -> None:
    def act(name: str, _: Case) -> None:
        if name == hanging:
            never.wait()

    with_steps(monkeypatch, act)
    begun = time.monotonic()
    findings = examine(case, total_s=SOON_S)
    assert SOON_S <= time.monotonic() - begun < PROMISED_S
    (failed,) = [it for it in findings if it.outcome == "failed"]
    assert failed.step == hanging
    assert isinstance(failed.error, RemoteTimeoutError)


def test_all_steps_share_one_deadline(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that every step moves by all but the whole time, the second one is too late."""
    now = [0.0]

    def act(name: str, _: Case) -> None:
        now[0] += doctor.TOTAL_S if name == "TCP" else 0
        if name == "relay":
            threading.Event().wait(PROMISED_S)

    with_steps(monkeypatch, act)
    findings = examine(case, clock=lambda: now[0])
    (failed,) = [it for it in findings if it.outcome == "failed"]
    assert failed.step == "relay"
    assert isinstance(failed.error, RemoteTimeoutError)
    assert failed.error.timeout_s == 0  # nothing was left for it
    assert sum(it.seconds for it in findings) <= doctor.TOTAL_S < PROMISED_S


def test_a_mistake_of_ours_is_not_taken_for_a_finding(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(_: str, __: Case) -> None:
        raise ZeroDivisionError

    with_steps(monkeypatch, act)
    with pytest.raises(ZeroDivisionError):
        examine(case)


def test_an_address_without_a_name_needs_no_dns(case: Case) -> None:
    first, second, third, *_ = examine(case)
    assert (first.step, first.outcome) == ("name", "not needed")
    assert (second.step, second.outcome, second.found) == ("TCP", "ok", "1 of 1 addresses")
    assert (third.step, third.outcome) == ("relay", "not needed")


def test_a_step_goes_on_with_the_addresses_that_were_good(case: Case) -> None:
    bad = ADDRESS.replace("4001", "4002")

    class Half(Ways):
        @override
        def reach(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
            return tuple(it for it in addresses if it != bad)

    case.addresses, case.way = (bad, ADDRESS), Half()
    assert examine(case)[1].found == "1 of 2 addresses"
    assert len(case.addresses) == 1


def test_a_step_goes_on_with_the_relays_that_were_good(case: Case) -> None:
    circuit = f"/ip4/192.0.2.7/tcp/4004/p2p/{PEER}/p2p-circuit/p2p/{PEER}"
    case.addresses = (circuit.replace("4004", "4003"), circuit)
    assert examine(case)[2].found == "1 of 2 addresses"


@given(st.floats(-1e9, 1e9), st.floats(0, 100))
def test_a_clock_is_wrong_when_a_login_would_be_refused(ahead_s: float, unsure_s: float) -> None:
    case = Case(PEER, (ADDRESS,), Ways(), Wallet(Path("/nowhere/wallet.json")))
    case.ahead_s, case.unsure_s = ahead_s, unsure_s
    if abs(ahead_s) - unsure_s <= 30:
        assert doctor.clock(case)
    else:
        with pytest.raises(ClockSkewError, match="30 s"):
            doctor.clock(case)


@pytest.mark.parametrize("told", [float("nan"), float("inf"), float("-inf")])
def test_a_clock_that_tells_no_time_is_wrong(case: Case, told: float) -> None:
    case.ahead_s = told
    with pytest.raises(ClockSkewError):
        doctor.clock(case)


def test_a_node_is_found_by_address_name_or_id(tmp_path: Path) -> None:
    known = KnownPeers(tmp_path / "peers.json")
    known.remember(PEER, name="clinic", kind="domain", addresses=(ADDRESS,))
    for node in (ADDRESS, "clinic", PEER):
        assert find(node, tmp_path) == (PEER, (ADDRESS,))
    with pytest.raises(UnknownPeerError, match="'city' was met"):
        find("city", tmp_path)
    with pytest.raises(AddressError):
        find("/ip4/192.0.2.7", tmp_path)
