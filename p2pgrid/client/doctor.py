"""Which step on the way to a node fails: name, TCP, relay, noise, version, clock or account.

Each step is a function that tells what it found, raises what went wrong, or returns None where it
is not needed. The first step that fails, or is not over in time, is the answer: the others after
it are not tried. All of it ends within ``TOTAL_S``, whatever hangs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from p2pgrid.client.connect import Client
from p2pgrid.client.in_thread import in_thread
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import (
    ClockSkewError,
    P2PGridError,
    RemoteProtocolError,
    RemoteTimeoutError,
    TransportError,
    UnknownPeerError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask, begin
from p2pgrid.net.key_file import read_key
from p2pgrid.net.link import Link
from p2pgrid.net.probe import Probe
from p2pgrid.net.streams import peer_id_in
from p2pgrid.protocol.messages import WIRE_VERSION, Challenge, Login, Session
from p2pgrid.protocol.statements import CLOCK_SKEW_S

TOTAL_S = 6.0
"""With what it takes to load libp2p before and to close connections after it, less than 10 s."""

Outcome = Literal["ok", "failed", "not needed", "not tried"]


class Finding(NamedTuple):
    """What came of one step."""

    step: str
    outcome: Outcome
    seconds: float = 0.0
    found: str = ""
    """What was found, or what went wrong."""
    advice: str = ""
    """What to do next; empty unless the step failed."""
    error: P2PGridError | None = None


class Way(Protocol):
    """How the steps reach out; see ``net.probe.Probe``, which does so with sockets."""

    @property
    def peer_id(self) -> PeerId:
        """Who we are on the links of ``link``."""

    def names(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """The names of hosts in addresses."""

    def resolve(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
        """The addresses whose host is known."""

    def reach(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
        """The addresses whose port takes a connection."""

    def through_relays(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...] | None:
        """The addresses that work, of which some name relays; None when none does."""

    def shake_hands(self, peer: PeerId, addresses: Sequence[str]) -> None:
        """The noise handshake."""

    def link(self, peer: PeerId, addresses: Sequence[str]) -> Link:
        """The control stream."""


@dataclass
class Case:
    """A node that may be out of reach, and what the steps have found so far."""

    peer: PeerId
    addresses: tuple[str, ...]
    way: Way
    wallet: Wallet
    user: str | None = None
    now: Callable[[], float] = time.time
    link: Link | None = None
    challenge: Challenge | None = None
    ahead_s: float = 0.0
    """How far the node's clock is ahead of ours, as it seems; ``unsure_s`` more or less."""
    unsure_s: float = 0.0


def diagnose(client: Client, node: str, *, user: str | None = None) -> tuple[Finding, ...]:
    """Goes step by step to a node and says how far it came; takes less than ten seconds.

    Args:
        client: whose network key, wallet and known peers are used.
        node: a multiaddr; or the name or peer id of a node that was met before.
        user: with which of the wallet's keys for the node to log in; default: the first one.

    Raises:
        AddressError: the address cannot be read.
        UnknownPeerError: no such node was met.
        NetworkKeyFileError: the client's network key cannot be read.
    """
    peer, addresses = find(node, client.home)
    key = None if client.network_key is None else read_key(client.network_key)
    way = Probe(lambda: client.peer, key, client.proxy)
    return examine(Case(peer, addresses, way, client.wallet, user))


def find(node: str, home: Path) -> tuple[PeerId, tuple[str, ...]]:
    """The peer id and the addresses of a node; see ``diagnose``."""
    if node.startswith("/"):
        return peer_id_in(node), (node,)
    for known in reversed(KnownPeers(home / "peers.json").all()):
        if node in {known.name, known.peer_id} and known.addresses:
            return PeerId(known.peer_id), known.addresses
    raise UnknownPeerError(name=node)


def examine(
    case: Case, *, total_s: float = TOTAL_S, clock: Callable[[], float] = time.monotonic
) -> tuple[Finding, ...]:
    """The findings of all steps, in order; returns within ``total_s`` even if a step never does."""
    until, findings = clock() + total_s, list[Finding]()
    for step in STEPS:
        if any(finding.outcome == "failed" for finding in findings):
            findings.append(Finding(step.name, "not tried"))
            continue
        begun = clock()
        try:
            found = _within(until - begun, step, case)
        except P2PGridError as error:
            seconds = clock() - begun
            failed = Finding(step.name, "failed", seconds, str(error), step.advice, error)
            findings.append(failed)
        else:
            outcome: Outcome = "not needed" if found is None else "ok"
            findings.append(Finding(step.name, outcome, clock() - begun, found or ""))
    return tuple(findings)


def name(case: Case) -> str | None:
    """Whether the names of the hosts are known."""
    names = case.way.names(case.addresses)
    if not names:
        return None
    case.addresses = case.way.resolve(case.peer, case.addresses)
    return ", ".join(names)


def tcp(case: Case) -> str:
    """Whether a port takes connections."""
    all_, case.addresses = case.addresses, case.way.reach(case.peer, case.addresses)
    return f"{len(case.addresses)} of {len(all_)} addresses"


def relay(case: Case) -> str | None:
    """Whether the relays in the addresses reach the node; not needed where none is named."""
    good = case.way.through_relays(case.peer, case.addresses)
    if good is None:
        return None
    all_, case.addresses = case.addresses, good
    return f"{len(good)} of {len(all_)} addresses"


def noise(case: Case) -> str:
    """Whether who is there has the key of the peer id, and is in our network."""
    case.way.shake_hands(case.peer, case.addresses)
    return f"{case.peer}"


def version(case: Case) -> str:
    """Whether the node speaks our version of the protocol."""
    case.link = case.way.link(case.peer, case.addresses)
    asked = case.now()
    try:
        case.challenge = begin(case.link)
    except TransportError as error:
        raise RemoteProtocolError(
            f"{case.peer} hung up on version {WIRE_VERSION} of the wire: it speaks another one"
        ) from error
    answered = case.now()
    case.ahead_s = case.challenge.now - (asked + answered) / 2
    case.unsure_s = (answered - asked) / 2
    return f"wire version {WIRE_VERSION}, {case.challenge.kind} {case.challenge.name!r}"


def clock(case: Case) -> str:
    """Whether the clocks differ by less than logins bear."""
    # A hostile node's clock may be no number.
    if not abs(case.ahead_s) - case.unsure_s <= CLOCK_SKEW_S:
        raise ClockSkewError(peer=case.peer, ahead_s=case.ahead_s, limit_s=CLOCK_SKEW_S)
    return f"{case.ahead_s:+.1f} s"


def account(case: Case) -> str | None:
    """Whether the node knows our key; a network has no accounts."""
    if case.link is None or case.challenge is None or case.challenge.kind == "network":
        return None
    key = case.wallet.key_for(case.peer, case.user)
    signed = key.sign_login(peer=case.way.peer_id, nonce=case.challenge.nonce, now=case.now())
    login = Login(statement=signed.statement, signature=signed.signature)
    session = ask(case.link, login, Session)
    return f"{session.account}, {session.role}"


class Step(NamedTuple):
    """A step, and what to do when it fails."""

    name: str
    act: Callable[[Case], str | None]
    advice: str


STEPS = (
    Step("name", name, "check the name in the address, and the DNS of this machine"),
    Step(
        "TCP",
        tcp,
        "ask the node's owner whether it runs, at which address, "
        "and whether firewalls and NAT let its port through",
    ),
    Step(
        "relay",
        relay,
        "ask the node's owner whether it runs, and who runs the relay whether it has a place there",
    ),
    Step(
        "noise",
        noise,
        "ask the node's owner for its address and, in a closed network, for the key file: "
        "what answers there is something else",
    ),
    Step("version", version, "update p2pgrid on the machine where it is older"),
    Step("clock", clock, "set the clocks of both machines by a time service (NTP)"),
    Step(
        "account",
        account,
        "make a key with 'p2pgrid wallet new ADDRESS' unless there is one, "
        "and have the owner enrol its public half",
    ),
)


def _within(limit_s: float, step: Step, case: Case) -> str | None:
    """What a step gives, in a thread that is left behind when it takes too long.

    Raises:
        RemoteTimeoutError: it did.
        P2PGridError: what the step raised.
    """
    try:
        return in_thread(lambda: step.act(case), name=f"doctor-{step.name}").result(max(limit_s, 0))
    except TimeoutError:
        raise RemoteTimeoutError(peer=case.peer, timeout_s=round(limit_s, 1)) from None
