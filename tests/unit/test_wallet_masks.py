"""No text form of a key, a wallet or an error shows a seed or a passphrase."""

import copy
import json
import logging
import os
import pickle
import traceback
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import nacl.utils
import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from p2pgrid.client.wallet import Wallet, WalletKey
from p2pgrid.errors import WalletError, WalletLockedError
from tests.unit.wallets import CHEAP, DOMAIN, OTHER, PASSPHRASE, assert_hidden, forms, opened

SHOW: dict[str, Callable[[WalletKey], str]] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "rich": pretty_repr,
    "asdict": lambda key: repr(msgspec.structs.asdict(key)),
    "copy": lambda key: repr(copy.copy(key)),
    "fields": lambda key: repr([getattr(key, name) for name in key.__struct_fields__]),
}


@pytest.mark.parametrize("show", SHOW.values(), ids=SHOW)
def test_no_text_form_of_a_key_shows_the_seed(path: Path, show: Callable[[WalletKey], str]) -> None:
    key = Wallet(path).new(DOMAIN)
    assert "<secret>" in show(key)
    assert_hidden(key, show(key))


def test_no_text_form_of_a_wallet_shows_a_seed_or_the_passphrase(path: Path) -> None:
    wallet = opened(path)
    key = wallet.new(DOMAIN)
    inside = wallet._vault
    text = f"{wallet!r} {wallet} {vars(wallet)!r} {vars(inside)!r} {wallet.rows()} {wallet.keys()}"
    assert f"Wallet({str(path)!r})" in text
    assert "<secret>" in repr(vars(inside))
    assert_hidden(key, text)
    assert PASSPHRASE not in text


@pytest.mark.parametrize("carry", [pickle.dumps, copy.deepcopy, msgspec.json.encode])
def test_a_key_is_not_carried_away(path: Path, carry: Callable[[Any], Any]) -> None:
    key = Wallet(path).new(DOMAIN)
    with pytest.raises(TypeError) as refused:
        carry(key)
    assert_hidden(key, str(refused.value))


def test_a_log_record_shows_no_seed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wallet = Wallet(path)
    key = wallet.new(DOMAIN)
    logging.getLogger("test").warning("%s %r", key, wallet, extra={"key": key})
    assert "<secret>" in caplog.text
    assert_hidden(key, caplog.text + repr(vars(caplog.records[0])))


def shown_with_locals(error: BaseException) -> str:
    """What two printers show of the frames below the test's own."""
    frames = error.__traceback__ and error.__traceback__.tb_next
    plain = traceback.TracebackException(type(error), error, frames, capture_locals=True)
    text = StringIO()
    Console(file=text, width=500).print(
        Traceback.from_exception(
            type(error), error, frames, show_locals=True, locals_max_string=1000
        )
    )
    return "".join(plain.format()) + text.getvalue()


def fails(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_traceback_with_locals_shows_no_seed(
    path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str | None
) -> None:
    wallet = opened(path, passphrase)
    known = wallet.new(DOMAIN)
    monkeypatch.setattr(nacl.utils, "random", lambda size: bytes(range(size)))
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(WalletError, match="No space left on device") as failed:
        wallet.new(OTHER)
    text = shown_with_locals(failed.value)
    assert "made" in text
    assert_hidden(known, text)
    assert not [form for form in forms(bytes(range(32))) if form in text]


def test_the_report_of_a_damaged_file_shows_no_seed(path: Path) -> None:
    key = Wallet(path).new(DOMAIN)
    content = json.loads(path.read_bytes())
    for damaged in (content | {"version": 2}, content | {"content": [*content["content"], {}]}):
        path.write_text(json.dumps(damaged))
        with pytest.raises(WalletError, match="damaged") as refused:
            Wallet(path)
        assert_hidden(key, shown_with_locals(refused.value))


def test_the_report_of_a_wrong_passphrase_does_not_show_it(path: Path) -> None:
    opened(path).new(DOMAIN)
    with pytest.raises(WalletLockedError) as refused:
        Wallet(path, passphrase=PASSPHRASE.upper(), cost=CHEAP)
    text = shown_with_locals(refused.value)
    assert "secret = <secret>" in text
    assert PASSPHRASE.upper() not in text
