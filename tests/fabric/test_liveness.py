"""Who is online, and how soon that is noticed; and that nobody joins in a tight loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from actors import announcer
from actors.announcer import CALM_S, LONGEST_RETRY_S, Announcer
from p2pgrid.config import Timing
from p2pgrid.net.calls import ask
from p2pgrid.protocol.messages import Describe, Done, Join, NetworkStatus
from tests.fabric.conftest import FabricNode, Grid, network_at
from tests.fabric.strangers import Stranger
from tests.fabric.web import connected
from tests.waiting import until

QUICK = Timing(ping_every_s=0.1, silent_after_s=0.5)


def names(city: FabricNode) -> list[str]:
    found: list[str] = connected(city)["grid-nodes"]
    return found


def test_a_domain_whose_link_broke_joins_again_at_once(grid: Grid) -> None:
    city = grid.launch("city", "network")
    bob = grid.launch("bob", networks=(city.address,))
    until(lambda: names(city) == ["bob"])
    link = city.node._service._joined[bob.node.peer_id]  # type: ignore[attr-defined]
    link.close_soon("the test")
    until(lambda: not link.is_open)
    until(lambda: names(city) == ["bob"], within_s=3)


def test_a_domain_joins_again_when_its_network_is_back(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "RETRY_S", 0.1)
    city = grid.launch("city", "network")
    grid.launch("bob", networks=(city.address,))
    until(lambda: names(city) == ["bob"])
    city.stop()
    city.start()
    until(lambda: names(city) == ["bob"], within_s=5)


def test_a_frozen_domain_is_noticed_by_its_silence(make_grid: Callable[..., Grid]) -> None:
    grid = make_grid(timing=QUICK)
    city = grid.launch("city", "network")
    bob = grid.launch("bob", networks=(city.address,))
    until(lambda: names(city) == ["bob"])
    grid.memory.hub.frozen.add(bob.node.peer_id)
    until(lambda: names(city) == [], within_s=5)
    grid.memory.hub.frozen.clear()


def test_a_stranger_that_is_connected_is_no_domain_and_cannot_join_as_one(grid: Grid) -> None:
    city = grid.launch("city", "network")
    bob = grid.launch("bob")
    stranger = Stranger(grid, city)
    record = bob.node._book.node_record()
    with pytest.raises(Exception, match="reference"):
        ask(stranger.link, Join(record, ()), Done)
    assert ask(stranger.link, Describe(), NetworkStatus) == NetworkStatus(0, 0, 0, 0)
    assert names(city) == []


def test_a_network_that_joins_another_is_not_counted_as_a_domain(grid: Grid) -> None:
    city = grid.launch("city", "network")
    village = grid.launch("village", "network", networks=(city.address,))
    until(lambda: village.node.peer_id in city.node._service._joined)  # type: ignore[attr-defined]
    assert network_at(grid.client("ana"), city.address).status() == NetworkStatus(0, 0, 0, 0)
    assert names(city) == []


class EndedLink:
    """The link to a network, after its end."""

    peer = "12D3KooWcity"


def pauses_of(lasting_s: list[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long an announcer waits after links that lasted so long."""
    now, waited = [1000.0], list[float]()

    class Loop:
        def call_later(self, delay_s: float, _: Callable[[], None]) -> None:
            waited.append(delay_s)

    monkeypatch.setattr("actors.announcer.time.monotonic", lambda: now[0])
    monkeypatch.setattr(asyncio, "get_running_loop", Loop)
    nothing: Any = None
    made = Announcer(
        nothing, nothing, networks=(), bootstrap=(), next_sequence=nothing, turns=nothing
    )
    for lasted_s in lasting_s:
        made._joined_at[EndedLink.peer] = now[0]  # type: ignore[index]
        now[0] += lasted_s
        made.on_over(EndedLink())  # type: ignore[arg-type]
    made.on_over(EndedLink())  # type: ignore[arg-type]  # where nobody has joined
    return waited


def test_links_that_do_not_last_are_made_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pauses_of([0.1] * 8, monkeypatch) == [0, 1, 2, 4, 8, 16, *[LONGEST_RETRY_S] * 2]


def test_a_link_that_lasted_is_made_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pauses_of([0.1, 0.1, CALM_S + 1, 0.1], monkeypatch) == [0, 1, 0, 1]
