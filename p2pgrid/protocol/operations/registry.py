"""All entries, and the ways to find one."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from p2pgrid.errors import RemoteProtocolError, UnsupportedRemoteOpError
from p2pgrid.protocol.operations import (
    combining,
    elementwise,
    grouping,
    indexing,
    reductions,
    shaping,
    statistics,
)
from p2pgrid.protocol.operations.entry import ArrayMeta, Bind, Operand, Operation, Params

_FAMILIES = (elementwise, reductions, statistics, grouping, shaping, combining, indexing)

REGISTRY: Mapping[str, Operation] = {
    entry.name: entry for family in _FAMILIES for entry in family.OPERATIONS
}
"""Every operation, by the name that it has on the wire."""

_BY_NAME = {name: entry for entry in REGISTRY.values() for name in entry.names}
_BY_TORCH = {
    name: (entry, entry.torch[name]) for entry in REGISTRY.values() for name in entry.torch
}

METHODS: Mapping[str, Operation] = {n: entry for n, entry in _BY_NAME.items() if entry.is_method}
"""The methods of a pointer."""


def operation_named(name: str) -> Operation:
    """The entry of this name on the wire.

    Raises:
        UnsupportedRemoteOpError: there is none; the error names the nearest.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        raise unsupported(name, name) from None


def infer(name: str, operands: Sequence[Operand], params: Params) -> ArrayMeta:
    """Shape and dtype of the result, from public metadata alone.

    Raises:
        UnsupportedRemoteOpError, ShapeError, DtypeError, RemoteIndexError, TooLargeError: it
            cannot be computed.
        RemoteProtocolError: number or type of operands or parameters do not fit the operation.
    """
    operation = operation_named(name)
    if len(operands) not in operation.arity:
        raise RemoteProtocolError(f"{name} does not take {len(operands)} operands")
    return operation.infer(operands, params)


def of_numpy(function: Callable[..., Any]) -> Operation:
    """The entry of a function or ufunc of numpy.

    Raises:
        UnsupportedRemoteOpError: there is none.
    """
    name = function.__name__
    entry = _BY_NAME.get(name)
    if entry is None or getattr(np, name, None) is not function:
        raise unsupported(f"{getattr(function, '__module__', None) or 'numpy'}.{name}", name)
    return entry


def of_torch(function: Callable[..., Any]) -> tuple[Operation, Bind]:
    """The entry of a function of torch, and the call as torch writes it.

    Raises:
        UnsupportedRemoteOpError: there is none.
    """
    name = function.__name__
    if name not in _BY_TORCH:
        raise unsupported(f"torch's {name}", name)
    return _BY_TORCH[name]


def unsupported(what: str, name: str) -> UnsupportedRemoteOpError:
    """The error for what is no operation; ``name`` decides which one is nearest."""
    return UnsupportedRemoteOpError(operation=what[:40], nearest=nearest(name))


def nearest(name: str) -> str:
    """The operation whose name is most alike."""
    return str(difflib.get_close_matches(name[:40], _BY_NAME, n=1, cutoff=0)[0])
