"""What exported actors offer: classes, their methods, and the types of arguments and results.

A type is written as in Python: ``int``, ``float | None``, ``list[str]``, ``dict[str, array]``. It
is checked at the scientist's end before anything is sent, again by the gateway, and the result is
checked before it leaves. An error names parameters and types, never a value.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from p2pgrid.errors import ArgumentError, SchemaError
from p2pgrid.protocol.values import (
    ArrayValue,
    BytesValue,
    DictValue,
    ListValue,
    Reference,
    TupleValue,
    Value,
)

SCALARS: dict[str, tuple[type, ...]] = {
    "None": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bytes": (BytesValue,),
    "array": (ArrayValue,),
}
"""Names of types and what stands for them on the wire; an int is a float, as in Python."""
ANY = "any"
MAX_TYPE = 200
MAX_TYPE_DEPTH = 8
MAX_DOC = 2000
MAX_METHODS = 64
MAX_PARAMETERS = 32

Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}\Z")]
TypeText = Annotated[str, Meta(min_length=1, max_length=MAX_TYPE)]
Doc = Annotated[str, Meta(max_length=MAX_DOC)]


class Parameter(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One parameter, by position or by name; without a default it has to be given."""

    name: Identifier
    type: TypeText
    has_default: bool = False


Parameters = Annotated[tuple[Parameter, ...], Meta(max_length=MAX_PARAMETERS)]


class MethodInfo(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A method that may be called from outside."""

    name: Identifier
    parameters: Parameters
    returns: TypeText
    doc: Doc = ""
    releases: bool = False
    """Whoever may call it may read its result, even if private data went in: the owner says so."""


class ActorClassInfo(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A class that an owner exported; all of it is public."""

    name: Identifier
    parameters: Parameters
    methods: Annotated[tuple[MethodInfo, ...], Meta(max_length=MAX_METHODS)]
    doc: Doc = ""

    def method(self, name: str) -> MethodInfo | None:
        """The method of this name."""
        return next((method for method in self.methods if method.name == name), None)


class Type(NamedTuple):
    """A type that was read: alternatives, each a name with the types of what it holds."""

    options: tuple[tuple[str, tuple["Type", ...]], ...]

    def accepts(self, value: Value) -> bool:
        """Whether a value is of this type; a reference is, until it is resolved."""
        return isinstance(value, Reference) or any(
            _accepts(name, inner, value) for name, inner in self.options
        )


def check_arguments(
    parameters: Sequence[Parameter],
    args: Sequence[Value],
    kwargs: Mapping[str, Value],
    *,
    call: str,
) -> None:
    """Checks a call against its signature.

    Raises:
        ArgumentError: too many, missing, unknown, given twice, or of another type.
    """
    if len(args) > len(parameters):
        problem = f"takes {len(parameters)} positional arguments, {len(args)} were given"
        raise ArgumentError(call=call, problem=problem)
    given = dict(zip((it.name for it in parameters), args, strict=False))
    for name, value in kwargs.items():
        if name in given:
            raise ArgumentError(call=call, problem=f"got two values for {name}")
        given[name] = value
    if kwargs and (unknown := sorted(given.keys() - {it.name for it in parameters})):
        raise ArgumentError(call=call, problem=f"has no parameter {unknown[0][:64]}")
    for parameter in parameters:
        if parameter.name in given:
            _check(parameter, given[parameter.name], call=call)
        elif not parameter.has_default:
            raise ArgumentError(call=call, problem=f"needs {parameter.name}: {parameter.type}")


@lru_cache(maxsize=1024)
def type_named(text: str) -> Type:
    """Reads a type.

    Raises:
        SchemaError: it is none of those that this module knows.
    """
    tokens = re.findall(r"[A-Za-z_]+|\S", text)
    reader = _Reader(text, iter(tokens))
    found = reader.read(MAX_TYPE_DEPTH)
    if len(text) > MAX_TYPE or reader.ahead is not None:
        raise reader.error()
    return found


def kind_of(value: Value) -> str:
    """The name of a value's own type, for errors."""
    return "None" if value is None else _KINDS.get(type(value)) or type(value).__name__


_KINDS: dict[type, str] = {
    ArrayValue: "array",
    BytesValue: "bytes",
    ListValue: "list",
    TupleValue: "tuple",
    DictValue: "dict",
}


class _Reader:
    """Recursive descent over the tokens of a type."""

    def __init__(self, text: str, tokens: Iterator[str]) -> None:
        self._text, self._tokens = text, tokens
        self.ahead = next(tokens, None)

    def error(self) -> SchemaError:
        return SchemaError(field="type", problem=f"{self._text[:60]!r} is not one that can travel")

    def read(self, depth: int) -> Type:
        options = [self._option(depth)]
        while self.ahead == "|":
            self._next()
            options.append(self._option(depth))
        return Type(tuple(options))

    def _option(self, depth: int) -> tuple[str, tuple[Type, ...]]:
        name = self._next()
        if depth == 0 or name is None:
            raise self.error()
        if name in SCALARS or name == ANY:
            return name, ()
        if name not in {"list", "tuple", "dict"} or self._next() != "[":
            raise self.error()
        inner = self._inner(depth - 1)
        expected = {"list": 1, "dict": 2}.get(name, len(inner))
        if len(inner) != expected or (name == "dict" and inner[0] != type_named("str")):
            raise self.error()
        return name, inner

    def _inner(self, depth: int) -> tuple[Type, ...]:
        found = [self.read(depth)]
        while self.ahead == ",":
            self._next()
            found.append(self.read(depth))
        if self._next() != "]":
            raise self.error()
        return tuple(found)

    def _next(self) -> str | None:
        token, self.ahead = self.ahead, next(self._tokens, None)
        return token


def _accepts(name: str, inner: tuple[Type, ...], value: Value) -> bool:
    match value:
        case ListValue(items):
            return name == ANY or (name == "list" and all(inner[0].accepts(it) for it in items))
        case TupleValue(items):
            fits = name == "tuple" and len(items) == len(inner)
            return name == ANY or (
                fits and all(t.accepts(it) for t, it in zip(inner, items, strict=True))
            )
        case DictValue(items):
            fits = name == "dict"
            return name == ANY or (fits and all(inner[1].accepts(it) for it in items.values()))
        case bool():
            return name in {ANY, "bool"}
        case _:
            return name == ANY or isinstance(value, SCALARS.get(name, ()))


def _check(parameter: Parameter, value: Value, *, call: str) -> None:
    if not type_named(parameter.type).accepts(value):
        problem = f"needs {parameter.name}: {parameter.type}, got {kind_of(value)}"
        raise ArgumentError(call=call, problem=problem)
