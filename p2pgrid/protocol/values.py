"""Values of calls on the wire: what methods of exported actors are given and give back.

A value is None, a truth value, a number, a text, bytes, an array, a reference to an object of the
domain, or a list, tuple or dictionary of values. Nothing is pickled, so nothing else crosses a
border; arrays travel as raw buffers beside the message.
"""

from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Annotated, Any, TypeVar, cast

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from p2pgrid.errors import RemoteProtocolError, TooLargeError, ValueTypeError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.arrays import (
    Array,
    ArrayHeader,
    as_array,
    claimed_bytes,
    header_of,
    raw_bytes,
    read_array,
)

MAX_DEPTH = 16
MAX_ITEMS = 10_000
"""Of all containers of one value together."""
MAX_TEXT = 1 << 16
"""Characters of a text, or bytes; more of them travel as an array of uint8."""
INT_BITS = 64

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
_Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_Int = Annotated[int, Meta(ge=-(1 << (INT_BITS - 1)), le=(1 << (INT_BITS - 1)) - 1)]


class Ref(Struct, frozen=True, tag="r", array_like=True, forbid_unknown_fields=True, gc=False):
    """An object of the domain: a dataset's tensor, a result, an actor."""

    object_id: Id


class Arriving(Struct, frozen=True, tag="m", array_like=True, forbid_unknown_fields=True, gc=False):
    """An object that another domain will deposit under this name; the call waits for it."""

    object_id: Id


class ArrayValue(Struct, frozen=True, tag="a", array_like=True, forbid_unknown_fields=True):
    """An array; its bytes are a buffer of the same frame."""

    header: ArrayHeader


class BytesValue(
    Struct, frozen=True, tag="b", array_like=True, forbid_unknown_fields=True, gc=False
):
    """Bytes."""

    data: Annotated[bytes, Meta(max_length=MAX_TEXT)]


class ListValue(Struct, frozen=True, tag="l", array_like=True, forbid_unknown_fields=True):
    """A list."""

    items: Annotated[tuple["Value", ...], Meta(max_length=MAX_ITEMS)]


class TupleValue(Struct, frozen=True, tag="t", array_like=True, forbid_unknown_fields=True):
    """A tuple."""

    items: Annotated[tuple["Value", ...], Meta(max_length=MAX_ITEMS)]


class DictValue(Struct, frozen=True, tag="d", array_like=True, forbid_unknown_fields=True):
    """A dictionary whose keys are texts."""

    items: Annotated[dict[_Text, "Value"], Meta(max_length=MAX_ITEMS)]


Value = (
    None
    | bool
    | _Int
    | float
    | _Text
    | Ref
    | Arriving
    | BytesValue
    | ArrayValue
    | ListValue
    | TupleValue
    | DictValue
)

Text = TypeVar("Text", str, bytes)
Reference = Ref | Arriving
RefOf = Callable[[object], Reference | None]
"""The reference that stands for a pointer; None for what is no pointer."""
Resolve = Callable[[Reference], object]
Substitute = Callable[[Reference, list[Any]], "Value"]
"""What a reference becomes; buffers of its arrays are appended to the list."""


class Packer:
    """Turns Python values into values of the wire; arrays go to ``buffers``."""

    def __init__(self, buffers: list[bytes], *, ref_of: RefOf, array_limit: int) -> None:
        self.buffers = buffers
        self._ref_of, self._array_limit = ref_of, array_limit
        self._items = 0

    def pack(self, value: object) -> Value:
        """The value of the wire.

        Raises:
            ValueTypeError: something in it cannot cross a border.
            TooLargeError: it is over a limit of this module, or an array over ``array_limit``.
        """
        self._items = 0
        return self._pack(value, MAX_DEPTH)

    def _pack(self, value: object, depth: int) -> Value:
        if depth == 0:
            raise TooLargeError(what="levels of a value", size=MAX_DEPTH + 1, limit=MAX_DEPTH)
        if isinstance(value, np.generic | np.ndarray):  # before floats: a np.float64 is one
            return self._pack_array(value)
        if value is None or type(value) in _SCALARS:
            return _pack_scalar(value)
        if isinstance(value, list | tuple | dict):
            return self._pack_container(value, depth - 1)
        reference = self._ref_of(value)
        if reference is None:
            raise ValueTypeError(kind=type(value).__name__)
        return reference

    def _pack_container(
        self, value: list[Any] | tuple[Any, ...] | dict[Any, Any], depth: int
    ) -> Value:
        self._items += len(value)
        if self._items > MAX_ITEMS:
            raise TooLargeError(what="items of a value", size=self._items, limit=MAX_ITEMS)
        if isinstance(value, dict):
            if not all(type(key) is str for key in value):
                raise ValueTypeError(kind="dict with keys that are no texts")
            return DictValue({_sized_text(k): self._pack(v, depth) for k, v in value.items()})
        items = tuple(self._pack(item, depth) for item in value)
        return ListValue(items) if isinstance(value, list) else TupleValue(items)

    def _pack_array(self, value: np.generic | Array) -> Value:
        if isinstance(value, np.generic) and value.dtype.name in {"bool", "int64", "float64"}:
            return _pack_scalar(value.item())
        array = as_array(value, limit=self._array_limit)
        self.buffers.append(bytes(raw_bytes(array)))
        return ArrayValue(header_of(array, buffer=len(self.buffers) - 1))


def unpack(value: Value, buffers: Sequence[bytes | memoryview], *, resolve: Resolve) -> object:
    """The Python value; arrays are read-only views of their buffers.

    Raises:
        RemoteProtocolError: a buffer is missing or has another size than is claimed.
    """
    if isinstance(value, DictValue):
        return {key: unpack(it, buffers, resolve=resolve) for key, it in value.items.items()}
    if isinstance(value, ListValue | TupleValue):
        items = [unpack(it, buffers, resolve=resolve) for it in value.items]
        return items if isinstance(value, ListValue) else tuple(items)
    if isinstance(value, Reference):
        return resolve(value)
    if isinstance(value, ArrayValue):
        number = value.header.buffer
        if number >= len(buffers):
            raise RemoteProtocolError(f"buffer {number} was named, {len(buffers)} came")
        return read_array(value.header, memoryview(buffers[number]))
    return value.data if isinstance(value, BytesValue) else value


def transfer(
    value: Value, buffers: Sequence[Sized], into: list[Any], *, resolve: Substitute
) -> Value:
    """The same value for another frame: its arrays go to ``into``; references are substituted.

    Raises:
        RemoteProtocolError: a buffer is missing or has another size than is claimed.
    """
    if isinstance(value, ArrayValue):
        into.append(_buffer_of(value.header, buffers))
        return ArrayValue(replace(value.header, buffer=len(into) - 1))
    if isinstance(value, Reference):
        return resolve(value, into)
    if isinstance(value, DictValue):
        items = value.items.items()
        return DictValue({k: transfer(v, buffers, into, resolve=resolve) for k, v in items})
    if isinstance(value, ListValue | TupleValue):
        inside = tuple(transfer(it, buffers, into, resolve=resolve) for it in value.items)
        return ListValue(inside) if isinstance(value, ListValue) else TupleValue(inside)
    return value


def kept(reference: Reference, into: list[Any]) -> Value:
    """For ``transfer`` of values whose references stay what they are."""
    del into
    return reference


def is_plain(value: Value) -> bool:
    """True for what has no array, no reference and nothing inside it."""
    return type(value) in _PLAIN


_PLAIN = {type(None), bool, int, float, str, BytesValue}


def _buffer_of(header: ArrayHeader, buffers: Sequence[Sized]) -> Sized:
    if header.buffer >= len(buffers) or len(buffers[header.buffer]) != claimed_bytes(header):
        raise RemoteProtocolError(f"no buffer of {claimed_bytes(header):,} bytes came for an array")
    return buffers[header.buffer]


def check_bounds(value: Value) -> None:
    """Refuses what ``Packer`` would never have made.

    Raises:
        RemoteProtocolError: too deep, or too many items.
    """
    items, level = 0, [value]
    for _ in range(MAX_DEPTH):
        level = [item for outer in level for item in _inside(outer)]
        items += len(level)
        if not level:
            break
    if level or items > MAX_ITEMS:
        raise RemoteProtocolError("a value is nested too deep, or has too many items")


def references_in(value: Value) -> Iterator[Reference]:
    """All references to objects, from left to right."""
    if isinstance(value, Ref | Arriving):
        yield value
    for item in _inside(value):
        yield from references_in(item)


def arrays_in(value: Value) -> Iterator[ArrayHeader]:
    """The headers of all arrays, from left to right."""
    if isinstance(value, ArrayValue):
        yield value.header
    for item in _inside(value):
        yield from arrays_in(item)


def no_references(value: object) -> Reference | None:
    """For values that hold no pointers."""
    del value
    return None


def object_id_of(reference: Reference) -> ObjectId:
    """The object that a reference names."""
    return ObjectId(reference.object_id)


def _inside(value: Value) -> Sequence[Value]:
    if isinstance(value, ListValue | TupleValue):
        return value.items
    return tuple(value.items.values()) if isinstance(value, DictValue) else ()


_SCALARS = frozenset((bool, int, float, str, bytes))


def _pack_scalar(value: Any) -> Value:
    if isinstance(value, bytes):
        return BytesValue(_sized(value))
    if isinstance(value, str):
        return _sized_text(value)
    return _sized_int(value) if isinstance(value, int) else cast("float | None", value)


def _sized_int(value: int) -> int:
    if not -(1 << (INT_BITS - 1)) <= value < 1 << (INT_BITS - 1):
        raise TooLargeError(what="bits of an int", size=value.bit_length() + 1, limit=INT_BITS)
    return value


def _sized_text(text: str) -> str:
    try:
        return _sized(text if text.isascii() else text.encode().decode())
    except UnicodeEncodeError:
        raise ValueTypeError(kind="str with half of a surrogate pair") from None


def _sized(value: Text) -> Text:
    if len(value) > MAX_TEXT:
        raise TooLargeError(what="length of a text or bytes", size=len(value), limit=MAX_TEXT)
    return value
