"""What an owner writes to export an actor class: two decorators, and how signatures are read.

    @p2pgrid.export
    class Counter:
        def __init__(self, start: int = 0) -> None:
            self.value = start

        @p2pgrid.method
        def incr(self, by: int = 1) -> int:
            self.value += by
            return self.value

Only methods with ``@p2pgrid.method`` can be called from outside. Their annotations are checked
when the class is made: what cannot travel is refused there, with the parameter's name.
"""

import inspect
from collections.abc import Callable, Iterable
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints, overload

import numpy as np

from p2pgrid.errors import SchemaError
from p2pgrid.policy.calls import ExportedClass, MethodRights, Names
from p2pgrid.protocol.signatures import (
    ANY,
    MAX_DOC,
    MAX_METHODS,
    MAX_PARAMETERS,
    MAX_TYPE,
    ActorClassInfo,
    MethodInfo,
    Parameter,
    type_named,
)

EXPORTED = "__p2pgrid_export__"
CALLABLE = "__p2pgrid_method__"

Class = TypeVar("Class", bound=type)
Method = TypeVar("Method", bound=Callable[..., Any])

_NAMES: dict[object, str] = {
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    bool: "bool",
    None: "None",
    NoneType: "None",
    np.ndarray: "array",
    Any: ANY,
    list: f"list[{ANY}]",
    dict: f"dict[str, {ANY}]",
}
_VARIADIC = {
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.KEYWORD_ONLY,
}


@overload
def export(cls: Class) -> Class: ...


@overload
def export(*, allowed_users: Iterable[str] | None = None) -> Callable[[Class], Class]: ...


def export(
    cls: Class | None = None, *, allowed_users: Iterable[str] | None = None
) -> Class | Callable[[Class], Class]:
    """Exports an actor class: accounts of the domain may make actors of it and call its methods.

    The class runs with all rights of the domain, in a process per actor. Nobody but its methods
    says what leaves: a result that private data may have gone into is given only to accounts that
    may ``get`` every dataset that the actor was ever given, unless its method ``releases``.

    Args:
        cls: the class, when the decorator is written without parentheses.
        allowed_users: names of accounts; None: every account of the domain. Owners always may.

    Raises:
        SchemaError: an annotation is missing, or of a type that cannot travel.
    """
    if cls is None:
        return lambda made: export_as(made, _names(allowed_users))
    return export_as(cls, None)


@overload
def method(function: Method) -> Method: ...


@overload
def method(
    *, allowed_users: Iterable[str] | None = None, releases: bool = False
) -> Callable[[Method], Method]: ...


def method(
    function: Method | None = None,
    *,
    allowed_users: Iterable[str] | None = None,
    releases: bool = False,
) -> Method | Callable[[Method], Method]:
    """Lets a method be called from outside.

    Args:
        function: the method, when the decorator is written without parentheses.
        allowed_users: names of accounts; None: everybody who may use the class.
        releases: True when whoever may call it may read its result, even if the actor has seen
            private data: the owner answers for what the method tells.
    """

    def mark(marked: Method) -> Method:
        setattr(marked, CALLABLE, MethodRights(_names(allowed_users), releases))
        return marked

    return mark if function is None else mark(function)


def export_as(cls: Class, allowed: Names | None) -> Class:
    """Exports a class to these accounts; see ``export``."""
    marked = {
        name: rights
        for name, value in inspect.getmembers(cls, inspect.isfunction)
        if (rights := getattr(value, CALLABLE, None)) is not None
    }
    if not 1 <= len(marked) <= MAX_METHODS:
        problem = f"has {len(marked)} methods with @p2pgrid.method; 1 to {MAX_METHODS} can be"
        raise SchemaError(field=cls.__name__, problem=problem)
    info = ActorClassInfo(
        name=_identifier(cls.__name__, cls.__name__),
        parameters=_parameters(inspect.getattr_static(cls, "__init__"), cls.__name__),
        methods=tuple(_method_info(cls, name, marked[name]) for name in sorted(marked)),
        doc=_doc(cls),
    )
    setattr(cls, EXPORTED, ExportedClass(info, allowed, marked))
    return cls


def exported(cls: type) -> ExportedClass | None:
    """What a class exports; None when it does not, or only a base of it does."""
    found = cls.__dict__.get(EXPORTED)
    return found if isinstance(found, ExportedClass) else None


def _method_info(cls: type, name: str, rights: MethodRights) -> MethodInfo:
    function, where = getattr(cls, name), f"{cls.__name__}.{name}"
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        problem = "is a coroutine or a generator; write a plain method that returns its result"
        raise SchemaError(field=where, problem=problem)
    hints = _hints(function, where)
    if "return" not in hints:
        raise SchemaError(field=where, problem="needs an annotation of what it returns")
    return MethodInfo(
        name=_identifier(name, where),
        parameters=_parameters(function, where),
        returns=_type(hints["return"], f"the result of {where}"),
        doc=_doc(function),
        releases=rights.releases,
    )


def _parameters(function: Callable[..., Any], where: str) -> tuple[Parameter, ...]:
    if function is object.__init__:
        return ()
    hints = _hints(function, where)
    _, *taken = inspect.signature(function).parameters.values()
    if len(taken) > MAX_PARAMETERS:
        problem = f"takes {len(taken)} parameters, {MAX_PARAMETERS} can be"
        raise SchemaError(field=where, problem=problem)
    return tuple(_parameter(it, hints, f"{it.name} of {where}") for it in taken)


def _parameter(taken: inspect.Parameter, hints: dict[str, Any], where: str) -> Parameter:
    if taken.kind in _VARIADIC:
        raise SchemaError(field=where, problem="has to be a plain parameter, without * or /")
    if taken.name not in hints:
        raise SchemaError(field=where, problem="needs an annotation")
    has_default = taken.default is not inspect.Parameter.empty
    return Parameter(_identifier(taken.name, where), _type(hints[taken.name], where), has_default)


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError) as error:
        raise SchemaError(field=where, problem=f"has an annotation of nothing: {error}") from error


def _type(hint: object, where: str) -> str:
    text = _text(hint, where)
    if len(text) > MAX_TYPE:
        raise SchemaError(field=where, problem=f"has a type of over {MAX_TYPE} letters")
    type_named(text)
    return text


def _text(hint: Any, where: str) -> str:
    """A type as it is written on the wire."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return " | ".join(_text(it, where) for it in inner)
    if origin is np.ndarray:
        return "array"
    if origin is list or (origin is tuple and Ellipsis not in inner):
        return f"{origin.__name__}[{', '.join(_text(it, where) for it in inner)}]"
    if origin is dict and inner[0] is str:
        return f"dict[str, {_text(inner[1], where)}]"
    try:
        return _NAMES[hint]
    except (KeyError, TypeError):
        name = getattr(hint, "__name__", None) or str(hint)
        problem = (
            f"is a {name[:60]}, which cannot travel; write int, float, bool, str, bytes, None, "
            "numpy.ndarray, typing.Any, or list[T], tuple[T, U], dict[str, T], T | U of them"
        )
        raise SchemaError(field=where, problem=problem) from None


def _identifier(name: str, where: str) -> str:
    if not name.isascii() or not name[:1].isalpha() or len(name) > 64:  # noqa: PLR2004 of Identifier
        problem = "needs a name of at most 64 ASCII letters and digits that begins with a letter"
        raise SchemaError(field=where, problem=problem)
    return name


def _doc(documented: object) -> str:
    return (inspect.getdoc(documented) or "")[:MAX_DOC]


def _names(names: Iterable[str] | None) -> Names | None:
    if isinstance(names, str):
        raise SchemaError(field="allowed_users", problem="is a text; write a tuple of names")
    return None if names is None else tuple(names)
