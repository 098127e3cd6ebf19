"""Pointers under numpy's and torch's functions: each call becomes an operation of the registry.

Nothing here computes: a function that is no operation is refused, never done on downloaded values.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

import numpy as np

from p2pgrid.errors import UnsupportedRemoteOpError
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations import (
    METHODS,
    Bind,
    Call,
    Operation,
    Params,
    of_numpy,
    of_torch,
    signature_of,
    unsupported,
)

FETCHING = frozenset({"item", "tolist", "numpy", "to_numpy", "cpu", "detach", "values", "tobytes"})
"""Methods of arrays and tensors by which people mean ``get``."""


class UnsupportedMethodError(UnsupportedRemoteOpError, AttributeError):
    """A pointer has no such attribute; ``hasattr`` then says False."""


def method_named(name: str) -> Operation:
    """The operation that is a pointer's method of this name.

    Raises:
        AttributeError: the name is private to some protocol that is probed for.
        UnsupportedMethodError: there is no such operation; the error names the nearest.
    """
    if name.startswith("_"):
        raise AttributeError(f"a pointer has no attribute {name!r}")
    if name not in METHODS:
        near = "get" if name in FETCHING else unsupported(name, name).nearest
        raise UnsupportedMethodError(operation=f".{name[:40]}", nearest=near)
    return METHODS[name]


def bound(operation: Operation, bind: Bind, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """Operands and parameters of a call.

    Raises:
        UnsupportedRemoteOpError: the operation has no such arguments; the error says which it has.
    """
    signature = signature_of(bind)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UnsupportedRemoteOpError(
            operation=f"{operation.name} with these arguments ({error})",
            nearest=f"{operation.name}{signature}",
        ) from None
    return bind(*args, **kwargs)


PUBLIC: Mapping[Callable[..., Any], str] = {np.shape: "shape", np.ndim: "ndim", np.size: "size"}
"""Functions of numpy that ask for what is public anyway."""


class Protocols(ABC):
    """The protocols of numpy and torch, for a handle that can apply operations by name."""

    __slots__ = ()

    @abstractmethod
    def _apply(self, name: str, operands: tuple[Any, ...], params: Params = ()) -> Self:
        """The result of an operation."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Self:
        if method != "__call__":
            near = "cumsum" if method == "accumulate" else "sum"
            raise UnsupportedRemoteOpError(operation=f"{ufunc.__name__}.{method}", nearest=near)
        operation = of_numpy(ufunc)
        return self._apply(operation.name, *bound(operation, operation.bind, inputs, kwargs))

    def __array_function__(
        self,
        function: Callable[..., Any],
        _: object,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        if function in PUBLIC and len(args) == 1:
            return getattr(self, PUBLIC[function])
        operation = of_numpy(function)
        return self._apply(operation.name, *bound(operation, operation.bind, args, kwargs))

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        _: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        operation, bind = of_torch(function)
        call = bound(operation, bind, args, kwargs or {})
        here = next(operand for operand in call.operands if isinstance(operand, cls))
        return here._apply(operation.name, *call)  # noqa: SLF001 torch calls the class, not it

    def __array__(self, *_: object, **__: object) -> Array:
        """Refuses what would be a silent download."""
        raise _instead_of_get("conversion to a numpy array")

    def __bool__(self) -> bool:
        raise _instead_of_get("bool()")

    def __float__(self) -> float:
        raise _instead_of_get("float()")

    def __int__(self) -> int:
        raise _instead_of_get("int()")

    def __complex__(self) -> complex:
        raise _instead_of_get("complex()")

    def __setitem__(self, index: object, value: object) -> NoReturn:
        near = "where(condition, x, y)"
        raise UnsupportedRemoteOpError(operation="assignment to elements", nearest=near)


def _instead_of_get(what: str) -> UnsupportedRemoteOpError:
    return UnsupportedRemoteOpError(operation=what, nearest="get")
