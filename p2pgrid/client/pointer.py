"""A handle to an array that lives, and stays, in somebody else's domain.

An operation on a pointer makes another pointer at once: shape and dtype are inferred here from
public metadata, errors of shape are raised before anything is sent, and the values stay where
they are. A pointer is a value: in-place forms (``+=``) make this handle point to a new object;
they never change the data of the owner.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import Any, Self

import msgspec
from typing_extensions import override

from p2pgrid.client.actor_pointer import store_of
from p2pgrid.client.batch import Batch, Input
from p2pgrid.client.described import Described
from p2pgrid.client.display import Display, hashed
from p2pgrid.client.handle import Handle
from p2pgrid.client.home import Home
from p2pgrid.client.operands import check_in_place, literal
from p2pgrid.client.operators import Operators
from p2pgrid.client.protocols import Protocols, bound, method_named
from p2pgrid.client.result import Result, result_of
from p2pgrid.client.session import Session
from p2pgrid.client.sharing import Grantable, Shareable
from p2pgrid.client.trace import Trace
from p2pgrid.client.transfers import Wishes
from p2pgrid.errors import (
    ForeignPointerError,
    NetworkError,
    ObjectGoneError,
    P2PGridError,
)
from p2pgrid.ids import ObjectId, short
from p2pgrid.protocol import shapes
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.messages import Slice
from p2pgrid.protocol.operations import (
    METHODS,
    REGISTRY,
    ArrayMeta,
    Dtype,
    Operand,
    Operation,
    Params,
    infer,
    private_index,
    signature_of,
)
from p2pgrid.protocol.records import TensorInfo
from p2pgrid.protocol.storage import columns_in


class TensorPointer(Operators, Protocols, Described, Shareable, Handle):
    """A remote array; ``shape`` and ``dtype`` are public, the values are not.

    Operators, indexing, and the operations of ``docs/operations.md`` as methods
    (``pointer.sum(axis=0)``) or as functions of numpy and torch (``np.sum(pointer, axis=0)``), each
    as in numpy. Operands are pointers of the same domain, Python numbers (weakly typed), and
    arrays, which travel to the domain.
    """

    __slots__ = (
        *("_batch", "_domain", "_id", "_meta", "_session"),
        *("dataset", "described", "description", "tags"),
    )

    def __init__(self, domain: Home, object_id: ObjectId, meta: ArrayMeta) -> None:
        self._domain = domain
        self._id = object_id
        self._meta = meta
        self._session: Session | None = None
        self._batch: Batch | None = None
        self.dataset = ""
        self.described = None
        self.description = ""
        self.tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The object's id, 32 hex characters."""
        return self._id.hex()

    @property
    def shape(self) -> tuple[int, ...]:
        """The public shape."""
        return self._meta.shape

    @property
    def public_shape(self) -> tuple[int, ...]:
        """The public shape; the name says what it is for a reader of a privacy proof."""
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
    def actor(self) -> Any:
        """The actor that holds the values.

        Inside the domain's cluster it is Ray's own handle, everywhere else an ``ActorPointer``
        without methods.
        """
        return store_of(self._domain)

    @property
    def T(self) -> "TensorPointer":  # noqa: N802 numpy's name
        """The transpose: axes reversed."""
        return self._apply("transpose", (self,))

    @property
    def block(self) -> Self:
        """Waits until the object exists, and gives this pointer back.

        Raises:
            RemoteTimeoutError: no answer in time.
            ObjectGoneError: it was taken home.
            P2PGridError: why the operation, or one that it needs, failed.
        """
        error = self._error()
        if error is not None:
            raise error
        return self

    def trace(self) -> Trace:
        """Waits as ``block`` does, and tells where the time went; a dataset's own array took none.

        Raises:
            P2PGridError: see ``block``.
        """
        batch = self.block._batch
        return Trace() if batch is None else batch.trace()

    @property
    def exists(self) -> bool:
        """Whether the domain holds the object now; asks it, after all operations made before.

        False when it was taken home, when its operation failed, or when the domain has lost it.

        Raises:
            NetworkError: the domain did not answer.
        """
        error = self._error()
        if error is not None:
            if isinstance(error, NetworkError):
                raise error
            return False
        try:
            # A slice of nothing: it is made only if there is something to take it of.
            self._apply("getitem", (self,), (Slice(0, 0),) if self.shape else ()).block  # noqa: B018
        except ObjectGoneError:
            return False
        return True

    def get(
        self,
        user: str | None = None,
        *,
        to: Path | str | None = None,
        progress: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Result:
        """Takes the values home, and the object away: after that, the domain holds it no more.

        Data of datasets stay with their owner; taking them home leaves everything as it was. A get
        that fails takes nothing away.

        A large array travels by a connection of its own, which is resumed when it breaks.

        Args:
            user: whose right to use; a name of the wallet's keys for this domain. The name only
                selects a key: the domain believes the signature. Default: who is logged in.
            to: a ``.npy`` file to make or replace; the array is then mapped from it. Default: the
                array is in memory.
            progress: show a bar for large arrays; default: when standard error is a terminal.
            stop: set it, from any thread, to stop a large array.

        Returns:
            A read-only array of ``shape`` and ``dtype``.

        Raises:
            GetNotPermittedError: an owner of a source has not allowed this user.
            DiskFullError: no room at ``to``, or at the domain for a large result on its way.
            TransferCancelledError: ``stop`` was set.
            ObjectGoneError: the object does not exist any more.
            P2PGridError: why the operation, or one that it needs, failed.
        """
        values = self.get_copy(user, to=to, progress=progress, stop=stop)
        if self._session is not None:
            self._session.free_now([self._id])
            self._let_go()
        return values

    @override
    def get_copy(
        self,
        user: str | None = None,
        *,
        to: Path | str | None = None,
        progress: bool | None = None,
        stop: threading.Event | None = None,
    ) -> Result:
        """Takes the values home and leaves the object in the domain; else as ``get``."""
        array = self._domain.get(
            self._id,
            self._meta,
            needed=self._sessions(),
            user=user,
            to=None if to is None else Path(to),
            wishes=Wishes(progress, stop),
        )
        return result_of(array)

    def __getattr__(self, name: str) -> "Callable[..., TensorPointer]":
        method_named(name)
        return MethodType(_FUNCTIONS[name], self)

    @override
    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *METHODS})

    def __getitem__(self, index: Any) -> "TensorPointer":
        for item in index if isinstance(index, tuple) else (index,):
            if isinstance(item, TensorPointer):
                raise private_index()
        return self._apply("getitem", *REGISTRY["getitem"].bind(self, index))

    @override
    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a remote number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator["TensorPointer"]:
        return (self[position] for position in range(len(self)))

    @override
    def _columns_of(self, values: Any) -> dict[str, Array]:
        return {column.name: it for column, it in columns_in(values, "", self.schema)}

    @override
    def __copy__(self) -> "TensorPointer":
        return self._apply("copy", (self,))

    @override
    def __deepcopy__(self, _: object) -> "TensorPointer":
        return self._apply("copy", (self,))

    @override
    def _display(self) -> Display:
        facts = (
            ("shape", str(self.shape)),
            ("dtype", self.dtype.name),
            ("dataset", self.dataset),
            ("tags", hashed(self.tags)),
        )
        return Display(f"TensorPointer {short(self._id)} at {self._domain.name}", facts)

    def __del__(self) -> None:
        if self._session is not None:
            self._session.free(self._id)

    @override
    def _grantable(self) -> Grantable:
        form = msgspec.msgpack.encode(self.block._face(self.dataset or short(self._id)))
        return Grantable(self._domain, (self._id,), "tensor", form)

    def _face(self, name: str) -> TensorInfo:
        """The public face of the array, under a name."""
        return TensorInfo(name=name, object_id=self._id, shape=self.shape, dtype=self.dtype.name)

    @override
    def _apply(
        self,
        name: str,
        operands: tuple[Any, ...],
        params: Params = (),
        *,
        in_place: bool = False,
    ) -> "TensorPointer":
        metas: list[Operand] = []
        inputs: list[Input] = []
        needed: set[Session] = set()
        for operand in operands:
            if isinstance(operand, TensorPointer):
                self._same_domain(operand)
                needed.update(operand._sessions())
                metas.append(operand._meta)
                inputs.append(operand._id)
            else:
                meta, value = literal(operand, limit=self._domain.literal_limit)
                metas.append(meta)
                inputs.append(value)
        meta = infer(name, metas, params)
        if in_place:
            check_in_place(name, self._meta, meta)
        result = type(self)(self._domain, self._id, meta)
        live = self._domain.session_for(needed)
        result._id, result._batch = live.apply(name, inputs, params)
        result._session = live
        return result

    @override
    def _sessions(self) -> tuple[Session, ...]:
        if self._batch is not None and self._batch.error is not None:
            raise self._batch.error
        return () if self._session is None else (self._session,)

    def _let_go(self) -> None:
        """Whoever uses this pointer from now on is told that the object is gone."""
        self._session, self._batch = None, Batch(deque())
        self._batch.fail(ObjectGoneError(object_id=short(self._id), domain=self._domain.name))

    @override
    def _apply_in_place(self, name: str, other: Any) -> Self:
        """Makes this handle point to the result; the old object is freed as ``del`` would."""
        result = self._apply(name, (self, other), in_place=True)
        if result.dtype != self.dtype:
            result = result._apply("astype", (result,), (self.dtype.name,))
        self.described = None
        self._id, result._id = result._id, self._id
        self._batch, result._batch = result._batch, self._batch
        self._session, result._session = result._session, self._session
        return self

    def _error(self) -> P2PGridError | None:
        """Why the object was not made; waits until that is known."""
        if self._batch is None:
            return None
        if self._session is not None:
            self._session.wait(self._batch)
        return self._batch.error_of(self._id)

    def _same_domain(self, other: "TensorPointer") -> None:
        if other._domain is not self._domain and other.location != self.location:
            raise ForeignPointerError(left=self._domain.name, right=other._domain.name)


def _function(operation: Operation) -> Callable[..., TensorPointer]:
    """A pointer's method for an operation, with the operation's signature and docstring."""

    def method(self: TensorPointer, *args: Any, **kwargs: Any) -> TensorPointer:
        call = bound(operation, operation.bind, (self, *args), kwargs)
        return self._apply(operation.name, *call)

    method.__name__, method.__doc__ = operation.name, operation.bind.__doc__
    method.__signature__ = signature_of(operation.bind)  # type: ignore[attr-defined]
    return method


_FUNCTIONS = {name: _function(operation) for name, operation in METHODS.items()}
