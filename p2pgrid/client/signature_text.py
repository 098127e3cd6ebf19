"""Signatures of exported classes and methods, as Python and people read them."""

import inspect
from collections.abc import Sequence

from typing_extensions import override

from p2pgrid.errors import RemoteProtocolError, SchemaError
from p2pgrid.protocol.signatures import ActorClassInfo, Parameter, type_named


class Word:
    """A text that prints as it is: a type of the wire, or a default that only the owner knows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @override
    def __repr__(self) -> str:
        return self._text


DEFAULT = Word("...")


def signature_of(parameters: Sequence[Parameter], returns: str | None = None) -> inspect.Signature:
    """The signature for ``help()`` and for tools; annotations are types of the wire."""
    return inspect.Signature(
        [
            inspect.Parameter(
                each.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=DEFAULT if each.has_default else inspect.Parameter.empty,
                annotation=Word(each.type),
            )
            for each in parameters
        ],
        return_annotation=inspect.Signature.empty if returns is None else Word(returns),
    )


def check_class(info: ActorClassInfo) -> ActorClassInfo:
    """A class as a domain described it.

    Raises:
        RemoteProtocolError: no Python class has such signatures.
    """
    try:
        signature_of(info.parameters)
        for method in info.methods:
            signature_of(method.parameters)
            type_named(method.returns)
        for each in (*info.parameters, *(it for m in info.methods for it in m.parameters)):
            type_named(each.type)
    except (ValueError, SchemaError) as error:
        raise RemoteProtocolError(f"the domain describes no class: {str(error)[:80]}") from error
    return info
