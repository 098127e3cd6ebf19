"""Who holds what, and how it is let go of."""

import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest

import p2pgrid
from p2pgrid import DomainClient, TensorPointer
from p2pgrid.config import Timing
from p2pgrid.errors import ObjectGoneError, PermissionDeniedError, UnsupportedRemoteOpError
from tests.fabric.conftest import FabricNode, Grid

A = np.arange(6.0)
WAIT_S = 10.0


@pytest.fixture
def a(owner: DomainClient) -> TensorPointer:
    pointer: TensorPointer = owner.publish("a", A, allowed_users=("ana",)).pointers[0]
    return pointer


def test_the_owner_sees_who_holds_what_and_nobody_else_does(
    grid: Grid, owner: DomainClient, a: TensorPointer
) -> None:
    owner.publish("b", A)
    ana = grid.user(owner, "ana")
    first, second = (dataset.pointers[0] for dataset in ana.datasets)
    kept = [first[2:4].block, (first + second).block]
    own = (a + 1).block
    anas, owners = sorted(owner.objects, key=lambda row: row.account)
    assert (anas.account, anas.objects, anas.held_bytes) == ("ana", 2, A.nbytes)
    assert (anas.datasets, anas.sources) == (("a", "b"), 2)
    assert (owners.account, owners.objects, owners.datasets) == ("owner", 1, ("a",))
    assert anas.peer == ana._peer.peer_id
    assert anas.left_s is None
    assert 0 <= anas.age_s < 60
    with pytest.raises(PermissionDeniedError):
        _ = ana.objects
    p2pgrid.free(*kept, own)


def test_a_session_without_a_link_is_shown_with_the_rest_of_its_lease(
    grid: Grid, bob: FabricNode, owner: DomainClient, a: TensorPointer
) -> None:
    ana = grid.user(owner, "ana")
    kept = (ana.datasets[0].pointers[0] + 1).block
    released = threading.Event()
    release = bob.node._service.release

    def noted(*link: object) -> None:
        release(*link)  # type: ignore[arg-type]
        released.set()

    bob.node._service.release = noted  # type: ignore[method-assign,assignment]
    grid.hang_up(ana)
    assert released.wait(WAIT_S)
    row = next(row for row in owner.objects if row.account == "ana")
    assert row.left_s is not None
    assert 50 < row.left_s <= 60
    np.testing.assert_array_equal(kept.get_copy(), A + 1)
    row = next(row for row in owner.objects if row.account == "ana")
    assert row.left_s is None
    del a


def test_the_table_prints_a_line_per_session(owner: DomainClient, a: TensorPointer) -> None:
    kept = (a + 1).block
    heading, line = repr(owner.objects).splitlines()
    assert heading.split("  ")[0] == "account"
    assert line.split() == ["owner", owner._peer.peer_id[-8:], "1", "48", "a", *line.split()[5:]]
    assert line.endswith("connected")
    del kept


def test_what_is_freed_is_gone_at_once_and_for_good(
    bob: FabricNode, owner: DomainClient, a: TensorPointer
) -> None:
    doubled = (a * 2).block
    needs_it = doubled + 1
    for _ in range(2):
        p2pgrid.free(doubled)
        assert doubled._id not in next(iter(bob.store._sessions.values()))
        for use in (lambda: doubled.block, doubled.get, lambda: doubled + 1, doubled.sum):
            with pytest.raises(ObjectGoneError):
                use()
    np.testing.assert_array_equal(needs_it.get_copy(), A * 2 + 1)
    assert [row.objects for row in owner.objects] == [1]


def test_pointers_of_several_domains_are_freed_together(
    grid: Grid, bob: FabricNode, a: TensorPointer
) -> None:
    ucsf = grid.launch("ucsf")
    c = grid.owner_of(ucsf).publish("c", A).pointers[0]
    p2pgrid.free(a + 1, c + 1, (a + 2).block)
    assert (bob.held, ucsf.held) == (0, 0)
    p2pgrid.free()


def test_the_data_of_an_owner_is_not_freed(a: TensorPointer) -> None:
    kept = a + 1
    with pytest.raises(UnsupportedRemoteOpError, match="dataset"):
        p2pgrid.free(kept, a)
    np.testing.assert_array_equal(kept.get_copy(), A + 1)
    np.testing.assert_array_equal(a.get_copy(), A)


def test_what_was_lost_with_its_session_is_freed_without_complaint(
    bob: FabricNode, a: TensorPointer
) -> None:
    lost = (a + 1).block
    bob.stop()
    bob.start()
    p2pgrid.free(lost)
    with pytest.raises(ObjectGoneError):
        lost.get_copy()


def test_ten_thousand_handles_made_and_dropped_leave_nothing_behind(
    make_grid: Callable[..., Grid],
) -> None:
    grid = make_grid(timing=Timing(sweep_s=0.01))
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    a = owner.publish("a", A).pointers[0]
    empty = threading.Event()
    handles = [a + float(number) for number in range(10_000)]
    assert handles[-1].block.shape == (6,)
    assert owner.objects[0].objects == 10_000 == bob.held
    execute = bob.store.execute

    def noted(*request: object) -> object:
        done = execute(*request)  # type: ignore[arg-type]
        if bob.held == 0:
            empty.set()
        return done

    bob.store.execute = noted  # type: ignore[method-assign,assignment]
    handles.clear()
    gc.collect()
    assert empty.wait(WAIT_S)  # no further operation carried what was freed
    (row,) = owner.objects
    assert (row.objects, row.held_bytes) == (0, 0)
