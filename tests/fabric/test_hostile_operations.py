"""Operations as a hostile client would send them: the domain checks all of it again."""

from collections.abc import Iterator

import numpy as np
import pytest

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.config import Limits
from p2pgrid.errors import (
    DtypeError,
    GetNotPermittedError,
    InternalError,
    P2PGridError,
    QuotaExceededError,
    RemoteIndexError,
    ShapeError,
    TooLargeError,
    TransportError,
    UnsupportedRemoteOpError,
)
from p2pgrid.net.calls import ask
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import Array, header_of, raw_bytes
from p2pgrid.protocol.messages import Op, Operand, Operate, Operated, Param, Slice
from p2pgrid.protocol.operations import REGISTRY
from tests.fabric.conftest import Grid

SECRET = 86.0625
DATA = np.full((40, 3), SECRET)
POSITIONS = np.array([0, 1])


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    made = Grid(tmp_path_factory.mktemp("hostile"), limits=Limits(session_bytes=100_000))
    yield made
    made.close()


@pytest.fixture(scope="module")
def owner(grid: Grid) -> DomainClient:
    owner = grid.owner_of(grid.launch("bob"))
    owner.publish("d", DATA)
    return owner


@pytest.fixture(scope="module")
def eve(grid: Grid, owner: DomainClient) -> DomainClient:
    return grid.user(owner, "eve")


def send(
    eve: DomainClient, name: str, inputs: tuple[Operand | Array, ...], params: tuple[Param, ...]
) -> P2PGridError | None:
    """Sends an operation past the checks of our client; why it failed."""
    own = (eve.datasets[0].pointers[0] + 1).block
    assert own._session is not None
    out = own._session.names.next()
    literals = [each for each in inputs if isinstance(each, np.ndarray)]
    headers = iter([header_of(each, buffer=n) for n, each in enumerate(literals)])
    operands = tuple(next(headers) if isinstance(x, np.ndarray) else x for x in inputs)
    message = Operate(ops=(Op(name, out, operands, params),))
    answer = ask(eve.link(), message, Operated, list(map(raw_bytes, literals)))
    return faults.error_of(answer.failed[0].failure) if answer.failed else None


def data_of(eve: DomainClient) -> TensorPointer:
    pointer: TensorPointer = eve.datasets[0].pointers[0]
    return pointer


REFUSED: list[tuple[str, tuple[Operand | Array, ...], tuple[Param, ...], type[P2PGridError]]] = [
    ("svd", (), (), UnsupportedRemoteOpError),
    ("mod", (), (), UnsupportedRemoteOpError),  # a name of numpy, not of the wire
    ("iadd", (1,), (), UnsupportedRemoteOpError),
    ("reshape", (), ((-1, 7),), ShapeError),
    ("reshape", (), ((2**62, 2**62),), ShapeError),
    ("getitem", (POSITIONS + 40,), ("positions",), InternalError),
    ("getitem", (POSITIONS.astype(float),), ("positions",), RemoteIndexError),
    ("getitem", (), (99,), RemoteIndexError),
    ("getitem", (), (Slice(None, None, 0),), RemoteIndexError),
    ("getitem", (np.zeros(100_000, np.int8),), ("positions",), QuotaExceededError),
    ("multiply", (np.ones((300, 1, 1)),), (), QuotaExceededError),
    ("add", (np.ones((2, 2)),), (), ShapeError),
    ("sum", (np.ones(3),), (None, False), DtypeError),
    ("sum", (np.ones((2, 40, 3), bool),), (None, False), ShapeError),
    ("quantile", (np.ones(3, bool),), (0, False, 0.5), ShapeError),
    ("median", (np.ones(3),), (None, False), DtypeError),
    ("group_sum", (np.ones(40), np.ones(1)), (), ShapeError),
    ("group_mean", (np.ones((40, 3)), np.ones(1)), (), ShapeError),
    ("group_quantile", (np.ones((40, 3)), np.ones(1)), (7,), ShapeError),
    ("astype", (), ("object",), DtypeError),
    ("round", (), (2**62,), TooLargeError),
    ("expand_dims", (), (tuple(range(32)),), ShapeError),
]


@pytest.mark.parametrize(("name", "others", "params", "error"), REFUSED)
def test_what_our_client_would_refuse_the_domain_refuses(
    eve: DomainClient,
    name: str,
    others: tuple[Operand | Array, ...],
    params: tuple[Param, ...],
    error: type[P2PGridError],
) -> None:
    failure = send(eve, name, (data_of(eve)._id, *others), params)
    assert type(failure) is error
    assert str(SECRET) not in str(failure)
    (data_of(eve) * 2).block  # noqa: B018 the session goes on


@pytest.mark.parametrize(
    ("name", "others", "params"),
    [
        ("add", (), ()),
        ("add", (1, 2), ()),
        ("add", (1,), (None,)),
        ("exp", (1,), ()),
        ("sum", (), ()),
        ("sum", (), (0, 0)),
        ("sum", (), ("0", True)),
        ("var", (), (0, True, True)),
        ("reshape", (), (3,)),
        ("clip", (1,), (True, True)),
        ("clip", (1,), (False, False)),
        ("clip", (1, 2), (True, False)),
        ("astype", (), (1,)),
        ("stack", (1,), (0,)),
        ("concatenate", (), ("0",)),
        ("getitem", (3,), ("positions",)),
        ("group_sum", (np.ones((40, 3)),), ()),
        ("median", (np.ones(3, bool),), (None,)),
        ("argmax", (), ((0, 1), False)),
    ],
)
def test_what_no_client_of_ours_would_send_ends_the_link(
    eve: DomainClient,
    owner: DomainClient,
    name: str,
    others: tuple[Operand | Array, ...],
    params: tuple[Param, ...],
) -> None:
    with pytest.raises(TransportError):
        send(eve, name, (data_of(eve)._id, *others), params)
    np.testing.assert_array_equal(owner.datasets[0].pointers[0].get(), DATA)


def test_positions_are_never_somebodys_values(eve: DomainClient) -> None:
    counts = (data_of(eve)[0] * 0).astype("int64").block
    failure = send(eve, "getitem", (data_of(eve)._id, counts._id), ("positions",))
    assert isinstance(failure, UnsupportedRemoteOpError)
    assert "where" in failure.nearest


def test_keys_are_public_few_and_of_the_dtype_of_the_groups(eve: DomainClient) -> None:
    x = data_of(eve)[:, 0].block
    refused: list[tuple[Operand | Array, tuple[Param, ...], type[P2PGridError]]] = [
        (x._id, (), UnsupportedRemoteOpError),
        (np.ones(2, np.int64), (), DtypeError),
        (np.ones((1, 1)), (), ShapeError),
        (np.ones((1 << 12) + 1), (), TooLargeError),
    ]
    for keys, params, error in refused:
        failure = send(eve, "group_sum", (x._id, x._id, keys), params)
        assert type(failure) is error
        assert str(SECRET) not in str(failure)
    for keys in (np.zeros(0), np.array([np.nan, 2, 1, 2, np.inf])):
        assert send(eve, "group_median", (x._id, x._id, keys), ()) is None


def test_no_operation_tells_a_value_or_gives_it_away(eve: DomainClient) -> None:
    texts = []
    for name, operation in REGISTRY.items():
        x = data_of(eve) > 0 if name.startswith("bitwise") or name == "invert" else data_of(eve)
        x = x[:, 0] if name.startswith("group") else x
        call = operation.bind(*arguments(name, x, operation.arity.start))
        result = x._apply(name, *call)
        texts += [repr(result), str(result.shape), str(result.dtype)]
        for attempt in (result.get, (result[None][0] * 1).get):
            with pytest.raises(GetNotPermittedError) as refused:
                attempt()
            texts.append(str(refused.value))
    assert eve.link().array_bytes_received == 0
    assert not [text for text in texts if str(SECRET) in text]


def arguments(name: str, x: TensorPointer, count: int) -> tuple[object, ...]:
    """Arguments with which the operation can be done."""
    more: dict[str, tuple[object, ...]] = {
        "matmul": (x, np.ones((3, 2))),
        "dot": (x, np.ones(3)),
        "quantile": (x, 0.5),
        "reshape": (x, (3, 40)),
        "expand_dims": (x, 0),
        "astype": (x, "float32"),
        "clip": (x, 0, 100),
        "concatenate": ([x, x],),
        "stack": ([x, x],),
        "getitem": (x, [0, 2]),
        "group_quantile": (x, x, [SECRET, 1], 0.5),
    }
    if name not in more and name.startswith("group"):
        return (x, x, [SECRET, 1])
    return more.get(name, (x,) * count)


def test_nobody_frees_what_another_session_holds(owner: DomainClient, eve: DomainClient) -> None:
    kept = (owner.datasets[0].pointers[0] + 1).block
    ask(eve.link(), Operate(ops=(), free=(kept._id,)), Operated)
    assert kept.exists
