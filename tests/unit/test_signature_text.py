"""Signatures as Python reads them; a domain cannot describe what Python would not."""

import inspect

import pytest

from p2pgrid.client.actor_pointer import ActorClass
from p2pgrid.client.signature_text import signature_of
from p2pgrid.errors import RemoteProtocolError, UnsupportedRemoteOpError
from p2pgrid.protocol.signatures import ActorClassInfo, MethodInfo, Parameter

BY = Parameter("by", "int | float")
TIMES = Parameter("times", "list[int]", has_default=True)
COUNTER = ActorClassInfo("Counter", (BY,), (MethodInfo("incr", (BY, TIMES), "int"),))


def test_a_signature_reads_as_it_was_written() -> None:
    signature = signature_of((BY, TIMES), "int")
    assert str(signature) == "(by: int | float, times: list[int] = ...) -> int"
    assert str(signature_of(())) == "()"
    assert list(signature.parameters) == ["by", "times"]
    assert signature.parameters["by"].default is inspect.Parameter.empty


@pytest.mark.parametrize(
    ("parameters", "returns"),
    [
        ((TIMES, BY), "int"),
        ((BY, BY), "int"),
        ((Parameter("class", "int"),), "int"),
        ((Parameter("by", "os.system"),), "int"),
        ((BY,), "set[int]"),
    ],
    ids=["order", "twice", "keyword", "type of a parameter", "type of the result"],
)
def test_what_python_would_not_have_is_refused(
    parameters: tuple[Parameter, ...], returns: str
) -> None:
    method = MethodInfo("incr", parameters, returns)
    with pytest.raises(RemoteProtocolError, match="describes no class"):
        ActorClass(ActorClassInfo("Counter", (), (method,)))
    if returns == "int":
        with pytest.raises(RemoteProtocolError):
            ActorClass(ActorClassInfo("Counter", parameters, ()))


def test_a_method_is_found_or_the_nearest_is_named() -> None:
    cls = ActorClass(COUNTER)
    assert cls.method("incr") is COUNTER.methods[0]
    with pytest.raises(UnsupportedRemoteOpError, match=r"Counter.decr .* is incr"):
        cls.method("decr")
    with pytest.raises(UnsupportedRemoteOpError, match="is none"):
        ActorClass(ActorClassInfo("Empty", (), ())).method("x" * 1000)
    with pytest.raises(AttributeError):
        cls.method("__len__")
