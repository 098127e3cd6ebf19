"""The doctor's last steps on fakes of the sockets; see also tests/libp2p/test_doctor.py."""

from collections.abc import Sequence

import pytest

from p2pgrid import Client
from p2pgrid.client.doctor import Case, examine
from p2pgrid.errors import AuthenticationError, NoKeyError
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Link
from tests.fabric.conftest import FabricNode, Grid


class MemoryWay:
    """A way without sockets: all that is left to fail is the node itself."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def peer_id(self) -> PeerId:
        return self._client.peer.peer_id

    def names(self, addresses: Sequence[str]) -> tuple[str, ...]:
        assert addresses
        return ()

    def resolve(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...]:
        assert peer
        return tuple(addresses)

    reach = resolve

    def through_relays(self, peer: PeerId, addresses: Sequence[str]) -> tuple[str, ...] | None:
        assert self.resolve(peer, addresses)
        return None

    def shake_hands(self, peer: PeerId, addresses: Sequence[str]) -> None:
        assert self.resolve(peer, addresses)

    def link(self, peer: PeerId, addresses: Sequence[str]) -> Link:
        return self._client.peer.link_to(peer, addresses)


def case_of(client: Client, node: FabricNode, user: str | None = None) -> Case:
    way = MemoryWay(client)
    return Case(node.node.peer_id, (node.address,), way, client.wallet, user)


def test_a_node_that_is_well(grid: Grid) -> None:
    clinic = grid.launch("clinic")
    owner = grid.owner_of(clinic)
    ana = grid.client("ana")
    *_, clock, account = examine(case_of(ana, clinic))
    assert clock.outcome == "ok"
    assert isinstance(account.error, NoKeyError)
    ana.wallet.new(owner.peer_id, "ana")
    assert isinstance(examine(case_of(ana, clinic))[-1].error, AuthenticationError)
    owner.users.add("ana", ana.wallet.public_key(owner.peer_id, "ana"))
    # A program logs in once per link and account.
    again = grid.client("ana")
    assert examine(case_of(again, clinic, "ana"))[-1].found == "ana, scientist"


@pytest.mark.parametrize("ahead_s", [-40.0, 40.0])
def test_a_clock_that_is_wrong_is_found_before_the_login_is_refused(
    grid: Grid, ahead_s: float
) -> None:
    clinic = grid.launch("clinic")
    owner = grid.client("owner-clinic")
    case = case_of(owner, clinic)
    exact = case.now
    case.now = lambda: exact() + ahead_s
    *_, clock, account = examine(case)
    assert (clock.step, clock.outcome, account.outcome) == ("clock", "failed", "not tried")


def test_a_network_has_no_accounts(grid: Grid) -> None:
    network = grid.launch("city", "network")
    findings = examine(case_of(grid.client("ana"), network))
    assert {it.outcome for it in findings} == {"ok", "not needed"}
    assert findings[-1].outcome == "not needed"
