"""A handle to an array that lives, and stays, in somebody else's domain.

Arithmetic on a pointer makes another pointer at once: shape and dtype are inferred here from
public metadata, errors of shape are raised before anything is sent, and the values stay where
they are. A pointer is a value: in-place forms (``+=``) make this handle point to a new object;
they never change the data of the owner.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import EllipsisType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from p2pgrid.client.home import Home
from p2pgrid.client.session import Batch, Input, Session
from p2pgrid.client.transfers import Wishes
from p2pgrid.errors import ForeignPointerError, UnsupportedRemoteOpError
from p2pgrid.ids import ObjectId, PeerId, short
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import Array, as_array
from p2pgrid.protocol.messages import Param, Slice
from p2pgrid.protocol.operations import ArrayMeta, Dtype, Operand, Params, infer

IndexItem = int | slice | EllipsisType | None
Index = IndexItem | tuple[IndexItem, ...]
INT64 = np.iinfo(np.int64)


class TensorPointer:
    """A remote array; ``shape`` and ``dtype`` are public, the values are not.

    Operations: ``+ - * /`` and their in-place forms, ``@``, ``sum``, ``mean``, ``T``, ``copy``,
    and indexing by ints, slices, ``...`` and ``None``, each as in numpy. Python numbers are
    weakly typed; arrays given as operands travel to the domain.
    """

    __slots__ = ("_batch", "_domain", "_id", "_meta", "_session", "dataset", "description", "tags")
    __array_ufunc__ = None  # numpy then lets our reflected methods answer

    def __init__(self, domain: Home, object_id: ObjectId, meta: ArrayMeta) -> None:
        self._domain = domain
        self._id = object_id
        self._meta = meta
        self._session: Session | None = None
        self._batch: Batch | None = None
        self.dataset = ""
        self.description = ""
        self.tags: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The public shape."""
        return self._meta.shape

    @property
    def dtype(self) -> Dtype:
        """The public dtype."""
        return self._meta.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._meta.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return shapes.elements(self._meta.shape)

    @property
    def location(self) -> PeerId:
        """The peer id of the domain that holds the values."""
        return self._domain.peer_id

    @property
    def T(self) -> "TensorPointer":  # noqa: N802 numpy's name
        """The transpose: axes reversed."""
        return self._apply("transpose", (self,))

    @property
    def block(self) -> Self:
        """Waits until the object exists, and gives this pointer back.

        Raises:
            RemoteTimeoutError: no answer in time.
            P2PGridError: why the operation, or one that it needs, failed.
        """
        if self._session is not None and self._batch is not None:
            self._session.wait(self._batch)
            error = self._batch.error_of(self._id)
            if error is not None:
                raise error
        return self

    def get(
        self,
        user: str | None = None,
        *,
        to: Path | str | None = None,
        progress: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Array:
        """Takes the values home: float, integer or bool array of ``shape``; read-only.

        A large array travels by a connection of its own, which is resumed when it breaks.

        Args:
            user: whose right to use; a name of the wallet's keys for this domain. The name only
                selects a key: the domain believes the signature. Default: who is logged in.
            to: a ``.npy`` file to make or replace; the array is then mapped from it. Default: the
                array is in memory.
            progress: show a bar for large arrays; default: when standard error is a terminal.
            stop: set it, from any thread, to stop a large array.

        Raises:
            GetNotPermittedError: an owner of a source has not allowed this user.
            DiskFullError: no room at ``to``, or at the domain for a large result on its way.
            TransferCancelledError: ``stop`` was set.
            ObjectGoneError: the object does not exist any more.
            P2PGridError: why the operation, or one that it needs, failed.
        """
        needed = () if self._session is None else (self._session,)
        return self._domain.get(
            self._id,
            self._meta,
            needed=needed,
            user=user,
            to=None if to is None else Path(to),
            wishes=Wishes(progress, stop),
        )

    def sum(self, axis: int | None = None, *, keepdims: bool = False) -> "TensorPointer":
        """The sum over one axis, or over all elements."""
        return self._apply("sum", (self,), (axis, keepdims))

    def mean(self, axis: int | None = None, *, keepdims: bool = False) -> "TensorPointer":
        """The mean over one axis, or over all elements; integers give float64."""
        return self._apply("mean", (self,), (axis, keepdims))

    def copy(self) -> "TensorPointer":
        """A copy, in the domain."""
        return self._apply("copy", (self,))

    def __getitem__(self, index: Index) -> "TensorPointer":
        items = index if isinstance(index, tuple) else (index,)
        return self._apply("getitem", (self,), tuple(map(_index_param, items)))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a remote number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator["TensorPointer"]:
        return (self[position] for position in range(len(self)))

    def __add__(self, other: "Operable") -> "TensorPointer":
        return self._apply("add", (self, other))

    def __radd__(self, other: "Operable") -> "TensorPointer":
        return self._apply("add", (other, self))

    def __iadd__(self, other: "Operable") -> Self:
        return self._become(self._apply("iadd", (self, other)))

    def __sub__(self, other: "Operable") -> "TensorPointer":
        return self._apply("sub", (self, other))

    def __rsub__(self, other: "Operable") -> "TensorPointer":
        return self._apply("sub", (other, self))

    def __isub__(self, other: "Operable") -> Self:
        return self._become(self._apply("isub", (self, other)))

    def __mul__(self, other: "Operable") -> "TensorPointer":
        return self._apply("mul", (self, other))

    def __rmul__(self, other: "Operable") -> "TensorPointer":
        return self._apply("mul", (other, self))

    def __imul__(self, other: "Operable") -> Self:
        return self._become(self._apply("imul", (self, other)))

    def __truediv__(self, other: "Operable") -> "TensorPointer":
        return self._apply("truediv", (self, other))

    def __rtruediv__(self, other: "Operable") -> "TensorPointer":
        return self._apply("truediv", (other, self))

    def __itruediv__(self, other: "Operable") -> Self:
        return self._become(self._apply("itruediv", (self, other)))

    def __matmul__(self, other: "Operable") -> "TensorPointer":
        return self._apply("matmul", (self, other))

    def __rmatmul__(self, other: "Operable") -> "TensorPointer":
        return self._apply("matmul", (other, self))

    def __array__(self, *_: object, **__: object) -> Array:
        """Refuses what would be a silent download."""
        raise UnsupportedRemoteOpError(operation="conversion to a numpy array", nearest="get")

    def __bool__(self) -> bool:
        raise UnsupportedRemoteOpError(operation="bool()", nearest="get")

    def __float__(self) -> float:
        raise UnsupportedRemoteOpError(operation="float()", nearest="get")

    @override
    def __repr__(self) -> str:
        tags = "".join(f" #{tag}" for tag in self.tags)
        return (
            f"<TensorPointer {short(self._id)} at {self._domain.name} "
            f"shape={self.shape} dtype={self.dtype.name}{tags}>"
        )

    def __del__(self) -> None:
        if self._session is not None:
            self._session.free(self._id)

    def _apply(
        self, name: str, operands: tuple["Operable", ...], params: Params = ()
    ) -> "TensorPointer":
        metas: list[Operand] = []
        inputs: list[Input] = []
        needed: set[Session] = set()
        for operand in operands:
            if isinstance(operand, TensorPointer):
                self._same_domain(operand)
                if operand._session is not None:
                    needed.add(operand._session)
                metas.append(operand._meta)
                inputs.append(operand._id)
            else:
                value = _literal(operand, limit=self._domain.literal_limit)
                metas.append(
                    ArrayMeta(value.shape, value.dtype) if isinstance(value, np.ndarray) else value
                )
                inputs.append(value)
        meta = infer(name, metas, params)
        result = TensorPointer(self._domain, self._id, meta)
        live = self._domain.session_for(needed)
        result._id, result._batch = live.apply(name, inputs, params)
        result._session = live
        return result

    def _same_domain(self, other: "TensorPointer") -> None:
        if other._domain is not self._domain and other.location != self.location:
            raise ForeignPointerError(left=self._domain.name, right=other._domain.name)

    def _become(self, result: "TensorPointer") -> Self:
        """Makes this handle point to the result; the old object is freed as ``del`` would."""
        self._id, result._id = result._id, self._id
        self._batch, result._batch = result._batch, self._batch
        self._session, result._session = result._session, self._session
        self._meta, result._meta = result._meta, self._meta
        return self


Operable = TensorPointer | ArrayLike


def _index_param(item: IndexItem) -> Param:
    if isinstance(item, slice):
        return Slice(*(_optional_int(part) for part in (item.start, item.stop, item.step)))
    if item is Ellipsis:
        return shapes.ELLIPSIS
    if item is None or isinstance(item, bool):
        return item
    return _optional_int(item)


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value.__index__())


def _literal(value: Any, *, limit: int) -> Array | int | float | bool:
    """A Python number stays weakly typed; everything else becomes an array."""
    if type(value) is int:
        return value if INT64.min <= value <= INT64.max else float(value)
    if isinstance(value, bool) or type(value) is float:
        return value
    return as_array(value, limit=limit)
