"""A dataset is listed whole or not at all, wherever its publisher or its domain dies."""

import numpy as np
import pytest

from p2pgrid import DomainClient
from p2pgrid.client.publication import Publication
from p2pgrid.config import Limits
from p2pgrid.errors import P2PGridError
from p2pgrid.net.link import Link
from tests.fabric.births import BIRTHS, RAW, births
from tests.fabric.conftest import FabricNode, Grid

SMALL = Limits(inline=16)
"""So that every array of the births is uploaded before the message."""


class DeathError(Exception):
    """Of a program: what it has not said by now is never said."""


@pytest.mark.parametrize("limits", [Limits(), SMALL], ids=["inline", "uploaded"])
def test_c44_a_program_may_die_at_any_request(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    owner._limits = limits
    monkeypatch.setattr(Publication, "_abandon", lambda _: None)
    requests = 0
    while dies_at(requests, owner, monkeypatch):
        requests += 1
        assert owner.datasets == ()
        bob.stop()
        bob.start()
        assert list(bob.directory.objects.glob("*.npy*")) == []
    assert requests >= (2 if limits is not SMALL else 16)
    assert owner.datasets[0].version == 1
    assert_is_whole(owner)


def dies_at(number: int, owner: DomainClient, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a program that publishes dies instead of its request of this number, from 0."""
    asked = 0
    request = Link.request

    def watched(link: Link, message: object, *rest: object, **named: object) -> object:
        nonlocal asked
        if asked == number:
            raise DeathError
        asked += 1
        return request(link, message, *rest, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as dying:
        dying.setattr(Link, "request", watched)
        try:
            owner.publish_dataset(births())
        except DeathError:
            return True
    return False


@pytest.mark.parametrize("step", ["put", "adopt", "examine", "add_dataset"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_c44_a_domain_may_die_at_any_step(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    owner._limits = SMALL
    part = bob.state if step == "add_dataset" else bob.store
    work = getattr(part, step)

    def dying(*given: object) -> None:
        if when == "after":
            work(*given)
        raise DeathError

    monkeypatch.setattr(part, step, dying)
    with pytest.raises(P2PGridError):
        owner.publish_dataset(births())
    bob.stop()
    bob.start()
    listed = owner.datasets
    if (step, when) == ("add_dataset", "after"):
        assert_is_whole(owner)
    else:
        assert listed == ()
    again = owner.publish_dataset(births(name="again"))
    np.testing.assert_array_equal(again["x"].get(), BIRTHS.astype("float32"))


def test_c44_an_answer_that_is_lost_makes_no_second_version(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = grid.owner_of(bob)
    owner._limits = SMALL
    add, calls = bob.state.add_dataset, 0

    def add_and_hang_up(entry: object) -> None:
        nonlocal calls
        calls += 1
        add(entry)  # type: ignore[arg-type]
        grid.hang_up(owner)

    monkeypatch.setattr(bob.state, "add_dataset", add_and_hang_up)
    assert owner.publish_dataset(births()).version == 1
    assert calls == 1
    assert_is_whole(owner)


def assert_is_whole(owner: DomainClient) -> None:
    (dataset,) = owner.datasets
    np.testing.assert_array_equal(dataset["x"].get(), BIRTHS.astype("float32"))
    np.testing.assert_array_equal(dataset.split("test")["x"].get(), BIRTHS[:2].astype("float32"))
    assert len(dataset["table"].to_pandas()) == 5
    assert dataset.raw == RAW
    assert len(dataset["x"].accountant) == 3
