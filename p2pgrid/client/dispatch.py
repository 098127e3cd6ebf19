"""Calls as numpy and torch write them, turned into operations of the registry.

Nothing here computes: a function that is no operation is refused, never done on downloaded values.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from p2pgrid.errors import UnsupportedRemoteOpError
from p2pgrid.protocol.operations import (
    METHODS,
    Bind,
    Call,
    Operation,
    of_numpy,
    of_torch,
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


def numpy_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, Call]:
    """The operation that a function or ufunc of numpy means.

    Raises:
        UnsupportedRemoteOpError: none, or none with these arguments.
    """
    operation = of_numpy(function)
    return operation.name, bound(operation, operation.bind, args, kwargs)


def torch_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, Call]:
    """The operation that a function of torch means.

    Raises:
        UnsupportedRemoteOpError: none, or none with these arguments.
    """
    operation, bind = of_torch(function)
    return operation.name, bound(operation, bind, args, kwargs)


def bound(operation: Operation, bind: Bind, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """Operands and parameters of a call.

    Raises:
        UnsupportedRemoteOpError: the operation has no such arguments; the error says which it has.
    """
    signature = inspect.signature(bind)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UnsupportedRemoteOpError(
            operation=f"{operation.name} with these arguments ({error})",
            nearest=f"{operation.name}{signature}",
        ) from None
    return bind(*args, **kwargs)
