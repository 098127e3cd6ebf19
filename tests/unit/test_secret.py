"""Secrets are compared and used, and otherwise neither seen nor carried away."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from io import StringIO
from typing import Any

import msgspec
import pytest
import rich
import rich.console
import rich.pretty
from hypothesis import given, strategies as st

from p2pgrid.protocol.secret import Secret

PLAIN = b"correct horse battery staple"


@dataclasses.dataclass(frozen=True)
class Holder:
    secret: Secret


def rich_inspection(value: object) -> str:
    console = rich.console.Console(file=StringIO(), width=200)
    rich.inspect(value, console=console, all=True)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


SHOW: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "padded": "{:>40}".format,
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031 - logging formats this way
    "dataclass": lambda value: repr(Holder(value)),
    "vars": lambda value: repr(vars(Holder(value))),
    "pretty": lambda value: rich.pretty.pretty_repr(Holder(value)),
    "attributes": lambda value: repr([getattr(value, name) for name in value.__slots__]),
}


@pytest.mark.parametrize("show", SHOW.values(), ids=SHOW)
def test_no_text_form_shows_a_secret(show: Callable[[Any], str]) -> None:
    assert PLAIN.decode() not in show(Secret(PLAIN))


def test_the_mask_is_one_fixed_text() -> None:
    assert repr(Secret(PLAIN)) == str(Secret(b"")) == f"{Secret(PLAIN)}" == "<secret>"
    assert f"{Secret(PLAIN):>10}" == "  <secret>"


def test_an_inspector_does_not_find_the_bytes() -> None:
    assert PLAIN.decode() not in rich_inspection(Secret(PLAIN))


def test_a_log_record_shows_the_mask(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("key %s", Secret(PLAIN), extra={"key": Secret(PLAIN)})
    assert caplog.messages == ["key <secret>"]
    assert PLAIN.decode() not in repr(vars(caplog.records[0]))


def test_a_traceback_with_locals_shows_the_mask() -> None:
    def fail(secret: Secret) -> None:
        raise RuntimeError(f"failed with {secret}")

    with pytest.raises(RuntimeError, match="failed with <secret>") as raised:
        fail(Secret(PLAIN))
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert "secret = <secret>" in "".join(shown.format())
    assert PLAIN.decode() not in "".join(shown.format())


CARRY: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "getstate": lambda value: value.__getstate__(),
    "asdict": lambda value: dataclasses.asdict(Holder(value)),
    "json": json.dumps,
    "msgspec json": msgspec.json.encode,
    "msgpack": msgspec.msgpack.encode,
    "builtins": msgspec.to_builtins,
    "bytes": bytes,
    "hash": hash,
    "vars": vars,
}


@pytest.mark.parametrize("carry", CARRY.values(), ids=CARRY)
def test_a_secret_is_not_carried_away(carry: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as refused:
        carry(Secret(PLAIN))
    assert PLAIN.decode() not in str(refused.value)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_secrets_are_equal_exactly_if_their_bytes_are(left: bytes, right: bytes) -> None:
    assert (Secret(left) == Secret(right)) is (left == right)
    assert Secret(left) == Secret(bytes(left))
    assert Secret(left) != left
    assert Secret(left).reveal() == left
