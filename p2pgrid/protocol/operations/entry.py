"""What an entry of the registry is made of."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from p2pgrid.errors import DtypeError, RemoteProtocolError
from p2pgrid.protocol.arrays import Array, Shape, size_bytes
from p2pgrid.protocol.messages import Param

Dtype = np.dtype[Any]
Scalar = int | float | bool
Kind = Dtype | type
"""What numpy's promotion looks at: a dtype, or the type of a Python number."""

INTEGERS = range(-(2**63), 2**64)
"""Python integers that some dtype holds, and that travel as what they are."""

_BOOL: Dtype = np.dtype(bool)  # a truth value is not weak: its dtype is the lowest anyway


class ArrayMeta(NamedTuple):
    """What is public about an array: its shape and its dtype."""

    shape: Shape
    dtype: Dtype
    is_literal: bool = False
    """True for an array that came with the operation, whose values are public too."""

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return size_bytes(self.shape, self.dtype)


Operand = ArrayMeta | Scalar
"""What a rule sees of an operand; a Python number is weakly typed, as in numpy 2."""

Params = tuple[Param, ...]


class Call(NamedTuple):
    """Operands and parameters of one operation, out of what a person wrote."""

    operands: tuple[Any, ...]
    params: Params = ()


Rule = Callable[[Sequence[Operand], Params], ArrayMeta]
Compute = Callable[[Sequence[Any], Params], Array]
Bind = Callable[..., Call]


class Operation(NamedTuple):
    """One entry of the registry; ``infer`` and ``compute`` agree for every input.

    All that is known of an operation is here. A privacy rule and an encrypted form of it become
    fields of this class.
    """

    name: str
    arity: range
    """How many operands it may have."""
    infer: Rule
    """Shape and dtype of the result from public metadata; refuses what must not be computed."""
    compute: Compute
    """The result, from values; raises for no value that ``infer`` let pass."""
    bind: Bind
    """The call as numpy writes it: its signature, its docstring."""
    aliases: tuple[str, ...] = ()
    """Other names that numpy or its users have for the same call."""
    torch: Mapping[str, Bind] = MappingProxyType({})
    """Torch's functions that mean this operation, by name, each with torch's signature."""
    is_method: bool = True
    """Whether a pointer has it as a method."""
    is_view: bool = False
    """Whether the result, where there is but one operand, lies in the operand's memory."""

    def is_view_of(self, operands: int) -> bool:
        """Whether the result of so many operands lies in the memory of the first."""
        return self.is_view and operands == 1

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and the others."""
        return (self.name, *self.aliases)

    @property
    def signature(self) -> str:
        """The call as numpy writes it: ``sum(x, axis=None, *, keepdims=False)``."""
        return f"{self.name}{signature_of(self.bind)}"


@lru_cache(maxsize=1024)
def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The parameters and their defaults, as a person writes a call."""
    parameters = inspect.signature(function).parameters.values()
    return inspect.Signature([each.replace(annotation=each.empty) for each in parameters])


def shape_of(operand: Operand) -> Shape:
    """The shape; a Python number has none."""
    return operand.shape if isinstance(operand, ArrayMeta) else ()


def kind_of(operand: Operand) -> Kind:
    """What numpy's promotion looks at."""
    if isinstance(operand, ArrayMeta):
        return operand.dtype
    return _BOOL if isinstance(operand, bool) else type(operand)


def as_array_operand(value: Any) -> Any:
    """Where numpy takes a Python number as an array, strongly typed."""
    return np.asarray(value) if isinstance(value, int | float) else value


def only_arrays(name: str, operands: Sequence[Operand]) -> list[ArrayMeta]:
    """The operands, when all of them are arrays.

    Raises:
        RemoteProtocolError: one is a Python number.
    """
    arrays = [operand for operand in operands if isinstance(operand, ArrayMeta)]
    if len(arrays) != len(operands):
        raise RemoteProtocolError(f"{name} takes arrays")
    return arrays


def no_params(name: str, params: Params) -> None:
    """Refuses parameters.

    Raises:
        RemoteProtocolError: there are some.
    """
    if params:
        raise RemoteProtocolError(f"{name} takes no parameters")


def fits(number: int, dtype: Dtype) -> bool:
    """Whether numpy takes a Python integer as this dtype."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return bool(limits.min <= number <= limits.max)
    return abs(number) <= sys.float_info.max  # numpy makes a float64 of it first


def check_weak(name: str, operands: Sequence[Operand], dtype: Dtype) -> None:
    """A Python integer has to fit the dtype that it meets, as numpy demands.

    Raises:
        DtypeError: it does not.
    """
    for operand in operands:
        if type(operand) is int and not fits(operand, dtype):
            raise DtypeError(operation=name, dtypes=f"{dtype.name} and an integer out of its range")


def check_travels(name: str, operands: Sequence[Operand]) -> None:
    """A Python integer that no dtype holds travels as a float; only beside floats is it the same.

    Raises:
        DtypeError: it stands beside integers or truth values.
    """
    numbers = [operand for operand in operands if type(operand) is int]
    if all(number in INTEGERS for number in numbers):
        return
    if any(isinstance(each, ArrayMeta) and each.dtype.kind != "f" for each in operands):
        raise DtypeError(operation=name, dtypes="integers and an integer out of its range")


@lru_cache(maxsize=4096)
def probed_dtype(name: str, function: Callable[..., Any], *kinds: Kind) -> Dtype:
    """The dtype that a function of numpy gives for operands of these kinds: one trial, on ones.

    Raises:
        DtypeError: numpy has no such function for them.
    """
    trial = [kind(1) if isinstance(kind, type) else np.ones(1, kind) for kind in kinds]
    try:
        return np.asarray(function(*trial)).dtype
    except TypeError:
        raise DtypeError(operation=name, dtypes=names_of(kinds)) from None


def names_of(kinds: Sequence[Kind]) -> str:
    """The kinds, for a person."""
    return " and ".join(kind.__name__ if isinstance(kind, type) else kind.name for kind in kinds)
