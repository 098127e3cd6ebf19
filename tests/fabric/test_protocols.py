"""Pointers under numpy's and torch's functions, and under whatever probes an object."""

import copy
import inspect
import operator
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.errors import RemoteIndexError, ShapeError, UnsupportedRemoteOpError
from p2pgrid.protocol.operations import METHODS, REGISTRY
from tests.fabric.conftest import Grid

A = np.arange(12, dtype=np.float64).reshape(4, 3) - 5
ROW = np.array([1.0, 2.0, 4.0])


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainClient]:
    grid = Grid(tmp_path_factory.mktemp("protocols"))
    owner = grid.owner_of(grid.launch("clinic"))
    owner.publish("a", A)
    yield owner
    grid.close()


@pytest.fixture
def a(clinic: DomainClient) -> TensorPointer:
    pointer: TensorPointer = clinic.datasets[0].pointers[0]
    return pointer


def same(pointer: Any, expected: Any) -> None:
    """The pointer stands for these values, shape and dtype."""
    assert isinstance(pointer, TensorPointer)
    expected = np.asarray(expected)
    assert (pointer.shape, pointer.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(np.asarray(pointer.get_copy()), expected)


OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.pow),
]


@pytest.mark.parametrize("operate", OPERATORS)
@pytest.mark.parametrize("other", [ROW, 2, 1.5, True, np.float64(3), np.int8(2)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_operator_works_from_either_side(
    a: TensorPointer, operate: Callable[[Any, Any], Any], other: Any
) -> None:
    same(operate(a, other), operate(A, other))
    same(operate(other, a), operate(other, A))


@pytest.mark.parametrize("operate", [operator.and_, operator.or_, operator.xor])
def test_logic_works_from_either_side(a: TensorPointer, operate: Callable[[Any, Any], Any]) -> None:
    mask = ROW > 1
    same(operate(a > 0, mask), operate(A > 0, mask))
    same(operate(mask, a > 0), operate(mask, A > 0))
    same(operate(a > 0, a < 3), operate(A > 0, A < 3))


def test_signs_and_matrices(a: TensorPointer) -> None:
    same(-a, -A)
    same(+a, A)
    same(abs(a), abs(A))
    same(~(a > 0), ~(A > 0))
    same(a @ ROW, A @ ROW)
    same(np.ones(4) @ a, np.ones(4) @ A)


IN_PLACE: list[tuple[Callable[[Any, Any], Any], Any]] = [
    *((operator.iadd, 1), (operator.isub, ROW), (operator.imul, 2.0), (operator.itruediv, 4)),
    *((operator.ifloordiv, 2), (operator.imod, 3), (operator.ipow, 2)),
    (operator.imatmul, np.eye(3)),
]


@pytest.mark.parametrize(("operate", "other"), IN_PLACE)
def test_an_in_place_form_moves_the_handle(
    a: TensorPointer, operate: Callable[[Any, Any], Any], other: Any
) -> None:
    moved = a
    moved = operate(moved, other)
    assert moved is a
    same(moved, operate(A.copy(), other))


def test_in_place_logic_and_narrow_dtypes(clinic: DomainClient) -> None:
    flags = clinic.datasets[0].pointers[0] > 0
    flags &= np.array([True, False, True])
    flags |= False
    flags ^= True
    same(flags, (((A > 0) & [True, False, True]) | False) ^ True)
    single = clinic.datasets[0].pointers[0].astype(np.float32)
    single += ROW
    same(single, A.astype(np.float32) + ROW.astype(np.float32))


CALLS: list[Callable[[Any], Any]] = [
    np.exp,
    lambda x: np.sum(x, axis=0),
    lambda x: np.sum(x, axis=(0, 1), keepdims=True),
    lambda x: np.mean(x, where=x > 0),
    lambda x: np.sum(x, where=A > 0),
    lambda x: np.var(x, axis=1, ddof=1),
    np.std,
    lambda x: np.min(x, axis=-1),
    lambda x: np.argmax(x, axis=0),
    lambda x: np.where(x > 0, x, 0),
    lambda x: np.where(ROW > 1, x, -x),
    lambda x: np.clip(x, -1, None),
    lambda x: np.clip(x, a_min=-1, a_max=ROW),
    lambda x: np.concatenate([x, A], axis=1),
    lambda x: np.stack([x, x], axis=-1),
    np.transpose,
    lambda x: np.transpose(x[None], (2, 0, 1)),
    lambda x: np.reshape(x, (2, -1)),
    np.ravel,
    lambda x: np.expand_dims(x, (0, -1)),
    lambda x: np.dot(x, ROW),
    lambda x: np.dot(ROW, x.T),
    lambda x: np.matmul(x.T, x),
    lambda x: np.round(x / 3, 2),
    lambda x: np.quantile(x, 0.3, axis=0),
    np.median,
    lambda x: np.logical_and(x > 0, x < 4),
    lambda x: np.astype(x, np.int32),
    lambda x: np.add(1, x),
    np.abs,
    lambda x: np.true_divide(x, 2),
    lambda x: np.amax(x, 0),
    lambda x: np.cumsum(x, axis=1),
    lambda x: x.reshape(3, -1),
    lambda x: x.transpose(1, 0),
    lambda x: x.flatten(),
    lambda x: x.sum(0),
    lambda x: x.any(axis=1),
    lambda x: x.clip(max=2),
    lambda x: x.astype("int16"),
    lambda x: x.squeeze(),
    lambda x: x.copy(),
    lambda x: x[[0, -1]],
    lambda x: x[:, ROW > 1],
    lambda x: x[A > 0],
    lambda x: x[1:3, [2, 0]],
    lambda x: x[np.array([[0], [3]]), [0, 2]],
    lambda x: x[..., None, -1],
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_on_a_pointer_is_the_call_on_its_values(
    a: TensorPointer, call: Callable[[Any], Any]
) -> None:
    same(call(a), call(A))


def test_a_mask_of_unknown_values_counts(a: TensorPointer) -> None:
    same((a > 0).sum(), np.int64(6))
    same(np.max(a, where=a < 0), -1.0)
    same(a.min(where=a > 100), np.inf)


T = torch.tensor(A)

TORCH: list[Callable[[Any], Any]] = [
    lambda x: torch.add(x, 2),
    lambda x: torch.sub(x, T),
    lambda x: torch.div(x, 4),
    torch.exp,
    torch.abs,
    torch.sum,
    lambda x: torch.sum(x, 0, True),
    lambda x: torch.mean(x, dim=1),
    lambda x: torch.var(x, dim=0),
    torch.std,
    lambda x: torch.std(x, correction=0),
    lambda x: torch.amax(x, 1),
    torch.max,
    lambda x: torch.asin(x / 10),
    lambda x: torch.argmin(x, dim=0),
    lambda x: torch.cumsum(x, 0),
    lambda x: torch.matmul(x, T.T),
    lambda x: torch.mm(T.T, x),
    lambda x: torch.where(x > 0, x, 0.0),
    lambda x: torch.clamp(x, min=-1),
    lambda x: torch.clip(x, -1, 1),
    lambda x: torch.cat([x, T]),
    lambda x: torch.concat([x, x], dim=1),
    lambda x: torch.stack([x, T], dim=1),
    lambda x: torch.transpose(x, 0, 1),
    lambda x: torch.permute(x, (1, 0)),
    lambda x: torch.unsqueeze(x, 0),
    lambda x: torch.squeeze(torch.unsqueeze(x, 0)),
    lambda x: torch.reshape(x, (2, 6)),
    torch.flatten,
    lambda x: torch.eq(x, T),
    lambda x: torch.logical_not(x > 0),
    lambda x: torch.round(x / 3, decimals=1),
    lambda x: T + x,
    lambda x: T - x,
    lambda x: T * x,
    lambda x: T // (x + 20),
    lambda x: abs(T) ** x,
    lambda x: T % (x + 20),
    lambda x: T.T @ x,
    lambda x: x > T,
    lambda x: (T > 0) & (x > 2),
    lambda x: x - T,
]


@pytest.mark.parametrize("call", TORCH)
def test_torchs_functions_find_their_way_to_the_domain(
    a: TensorPointer, call: Callable[[Any], Any]
) -> None:
    result, expected = call(a), call(T).numpy()
    assert isinstance(result, TensorPointer)
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(np.asarray(result.get()), expected, rtol=1e-15)  # two libraries


def in_place(left: Any, right: Any) -> Any:
    """``+=`` on an array."""
    left += right
    return left


UNSUPPORTED: list[tuple[Callable[[Any], Any], str]] = [
    (np.linalg.svd, r"numpy\.linalg\.svd"),
    (np.fft.fft, r"numpy\.fft\.fft"),
    (np.cov, r"numpy\.cov"),
    (lambda x: np.linalg.matmul(x, x), r"numpy\.linalg\.matmul.*is matmul"),
    (lambda x: np.sum(x, dtype=np.float32), r"sum.*dtype.*sum\(x, axis=None"),
    (lambda x: np.add(x, 1, out=A.copy()), r"add.*out.*add\(x, y\)"),
    (np.add.reduce, r"add\.reduce.*is sum"),
    (lambda x: np.where(x > 0), r"where.*where\(condition, x, y\)"),
    (np.frompyfunc(len, 1, 1), "len"),
    (torch.fft.fft, "fft_fft"),
    (torch.linalg.svd, "linalg_svd"),
    (torch.median, "median"),
    (lambda x: torch.max(x, 0), r"max\(input\)"),
    (lambda x: torch.equal(x, T), "equal"),
    (lambda x: torch.add(x, 1, alpha=2), "alpha"),
    (lambda x: x.meen(), r"\.meen .* is mean"),
    (lambda x: x.tolist(), "is get"),
    (lambda x: x.item(), "is get"),
    (lambda x: x.sum(0, out=A), r"sum\(x, axis=None"),
    (lambda x: x[x > 0], "private.*where"),
    (lambda x: x[0, x[0] > 0], "private.*where"),
    (lambda x: operator.setitem(x, 0, 1.0), "where"),
    (lambda x: in_place(A.copy(), x), "out"),
]


@pytest.mark.parametrize(("call", "text"), UNSUPPORTED)
def test_what_is_no_operation_names_the_nearest_and_downloads_nothing(
    a: TensorPointer, clinic: DomainClient, call: Callable[[Any], Any], text: str
) -> None:
    received = clinic.link().array_bytes_received
    with pytest.raises(UnsupportedRemoteOpError, match=text):
        call(a)
    assert clinic.link().array_bytes_received == received


@pytest.mark.parametrize("download", [np.asarray, np.array, float, int, bool, complex])
def test_nothing_downloads_silently(a: TensorPointer, download: Callable[[Any], Any]) -> None:
    with pytest.raises(UnsupportedRemoteOpError, match="is get"):
        download(a)


def test_what_is_public_is_told_without_asking(a: TensorPointer) -> None:
    assert (np.shape(a), np.ndim(a), np.size(a), len(a)) == ((4, 3), 2, 12, 4)
    assert a.public_shape == (4, 3)
    assert a.T.public_shape == (3, 4)


def test_probing_finds_what_there_is(a: TensorPointer) -> None:
    assert hasattr(a, "exp")
    for name in ("foo", "_repr_png_", "__array_interface__", "__dlpack__", "_ipython_display_"):
        assert not hasattr(a, name)
    assert {"sum", "get", "shape", "flatten"} <= set(dir(a))
    assert "where" not in dir(a)
    assert str(inspect.signature(a.sum)) == "(axis=None, *, keepdims=False, where=True)"
    assert "numpy.sum" in (inspect.getdoc(a.sum) or "")


def test_no_operation_hides_what_a_pointer_is() -> None:
    own = {name for kind in TensorPointer.__mro__ for name in vars(kind)}
    assert not own & set(METHODS)
    assert not own & set(REGISTRY)


def test_a_copy_of_a_handle_is_a_copy_of_the_object(a: TensorPointer) -> None:
    for copied in (copy.copy(a), copy.deepcopy(a)):
        same(copied, A)
    result = a + 1
    copied = copy.copy(result)
    result.get()
    same(copied, A + 1)


def test_a_handle_is_not_pickled(a: TensorPointer) -> None:
    with pytest.raises(TypeError, match="session of this process"):
        pickle.dumps(a)


def test_handles_are_compared_by_element_and_hashed_by_identity(a: TensorPointer) -> None:
    other = a + 0
    assert len({a, other, a}) == 2
    assert isinstance(a == other, TensorPointer)
    with pytest.raises(UnsupportedRemoteOpError, match="bool"):
        assert a == other


def test_errors_of_shape_and_index_come_before_anything_is_sent(
    a: TensorPointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something was sent")

    nothing = a[0:0].block
    monkeypatch.setattr("p2pgrid.client.session.Session.apply", refuse)
    for wrong in (
        *(lambda: a + np.ones(4), lambda: a @ a, lambda: a.reshape(5, 5), lambda: a.sum(axis=2)),
        *(lambda: a[:, 7], lambda: a[[0, 4]], lambda: np.concatenate([a, a.shape])),
        *(lambda: a[np.ones((4, 2), bool)], lambda: np.stack([a, ROW]), nothing.min),
    ):
        with pytest.raises((ShapeError, RemoteIndexError)):
            wrong()
