"""Taking values home: who still holds what afterwards, and what is told when nothing comes."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.client.result import Result
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import (
    GetNotPermittedError,
    ObjectGoneError,
    QuotaExceededError,
    RemoteTimeoutError,
    TransportError,
)
from p2pgrid.protocol.codec import Buffer
from tests.fabric.conftest import FabricNode, Grid

A = np.arange(12, dtype=np.float32).reshape(4, 3) - 5


@pytest.fixture
def a(owner: DomainClient) -> TensorPointer:
    pointer: TensorPointer = owner.publish("a", A).pointers[0]
    return pointer


def exist(*pointers: TensorPointer) -> list[bool]:
    return [pointer.exists for pointer in pointers]


def test_get_takes_the_object_away_and_get_copy_does_not(bob: FabricNode, a: TensorPointer) -> None:
    result = a * 2
    for _ in range(2):
        np.testing.assert_array_equal(result.get_copy(), A * 2)
    assert exist(result) == [True]
    np.testing.assert_array_equal(result.get(), A * 2)
    assert exist(result) == [False]
    a.get_copy()  # it is answered after what was sent before it
    assert bob.held == 0
    assert result.shape == (4, 3)
    for use in (result.get, result.get_copy, lambda: result.block, lambda: result + 1):
        with pytest.raises(ObjectGoneError, match="bob"):
            use()
    with pytest.raises(ObjectGoneError):
        result += 1
    with pytest.raises(ObjectGoneError):
        a + result


def test_data_of_datasets_stay_with_their_owner(a: TensorPointer) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(a.get(), A)
    assert a.exists
    np.testing.assert_array_equal((a + 1).get(), A + 1)


def test_what_was_made_of_an_object_outlives_it(a: TensorPointer) -> None:
    whole = a + 1
    part, view = whole[1:3], whole.T
    whole.get()
    np.testing.assert_array_equal(part.get(), A[1:3] + 1)
    np.testing.assert_array_equal(view.get(), A.T + 1)


def test_a_refused_get_takes_nothing_away(grid: Grid, owner: DomainClient) -> None:
    owner.publish("closed", A)
    eve = grid.user(owner, "eve")
    result = next(d for d in eve.datasets if d.name == "closed").pointers[0] + 1
    for _ in range(2):
        with pytest.raises(GetNotPermittedError, match=r"permission to .get\(\) object"):
            result.get()
    assert result.exists
    assert (result * 2).block.exists


def test_a_get_whose_answer_is_lost_takes_nothing_away(
    grid: Grid, bob: FabricNode, owner: DomainClient, a: TensorPointer
) -> None:
    result = (a + 1).block
    get = bob.store.get

    def cut(object_id: object) -> object:
        grid.hang_up(owner)
        return get(object_id)  # type: ignore[arg-type]

    bob.store.get = cut  # type: ignore[method-assign, assignment]
    with pytest.raises(TransportError):
        result.get()
    bob.store.get = get  # type: ignore[method-assign]
    assert result.get().shape == a.shape


def test_exists_asks_the_domain(bob: FabricNode, a: TensorPointer) -> None:
    result, number = (a + 1).block, a.sum().block
    assert exist(result, number, a) == [True, True, True]
    bob.store.drop_all()
    assert exist(result, number, a) == [False, False, True]


def test_what_failed_does_not_exist(make_grid: Callable[[Limits], Grid]) -> None:
    grid = make_grid(Limits(session_bytes=200))
    a = grid.owner_of(grid.launch("bob")).publish("a", A).pointers[0]
    failed = a[None] + np.zeros((3, 4, 3))
    assert not failed.exists
    assert not (failed + 1).exists
    with pytest.raises(QuotaExceededError):
        failed.block  # noqa: B018


def test_block_gives_the_pointer_back(a: TensorPointer) -> None:
    result = a + 1
    assert result.block is result
    assert a.block is a


def test_block_says_that_no_answer_came(
    bob: FabricNode, a: TensorPointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    execute = bob.store.execute

    def stuck(operations: bytes, buffers: Sequence[Buffer]) -> object:
        assert go_on.wait(30)
        return execute(operations, buffers)

    session = (a + 1).block._session
    assert session is not None
    monkeypatch.setattr(session, "_timing", Timing(request_s=0.05))
    monkeypatch.setattr(bob.store, "execute", stuck)
    result = a * 2
    try:
        with pytest.raises(RemoteTimeoutError, match=r"within 0\.1 s"):
            result.block  # noqa: B018
    finally:
        go_on.set()
    np.testing.assert_array_equal(result.get(), A * 2)


def test_a_result_is_an_array_that_decodes_to_floats(a: TensorPointer) -> None:
    for pointer, dtype in ((a, "float32"), (a.astype("int16"), "float64"), (a > 0, "float64")):
        result = pointer.get_copy()
        decoded = result.decode()
        assert isinstance(result, Result)
        assert type(decoded) is np.ndarray
        assert (decoded.dtype.name, decoded.shape) == (dtype, (4, 3))
        np.testing.assert_array_equal(decoded, result)
        decoded[:] = 0  # it is the caller's own
        with pytest.raises(ValueError, match="read-only"):
            result[0] = 0


def test_what_is_computed_from_a_result_is_plain_numpy(a: TensorPointer) -> None:
    result, number = a.get(), a.sum().get()
    for made in (result + 1, result @ result.T, np.exp(result), result.mean(axis=0)):
        assert type(made) is np.ndarray
    assert {type(each) for each in (number / 5, result.sum(), result[0, 0])} == {np.float32}
    assert f"{number / 5:.4f} {number:.2f}" == "1.2000 6.00"
