"""Nobody else reads the file, no crash takes it, no damage is made worse."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pgrid.client.wallet import InsecureWalletWarning, KdfCost, Wallet
from p2pgrid.errors import WalletError, WalletLockedError
from tests.unit.wallets import DOMAIN, OTHER, PASSPHRASE, assert_hidden, mode, opened


def test_only_the_owner_may_read_what_the_wallet_writes(path: Path) -> None:
    mask = os.umask(0)
    try:
        Wallet(path).new(DOMAIN)
    finally:
        os.umask(mask)
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}
    assert mode(path.parent) == 0o700


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o620, 0o666])
def test_a_readable_file_is_told_and_made_private(path: Path, loose: int) -> None:
    key = Wallet(path).new(DOMAIN)
    path.chmod(loose)
    with pytest.warns(InsecureWalletWarning, match=str(path)):
        wallet = Wallet(path)
    assert mode(path) == 0o600
    assert wallet.keys() == (key,)


def test_an_encrypted_file_shows_neither_seed_nor_domain(path: Path) -> None:
    key = opened(path).new(DOMAIN, "ada", name="OpenGrid")
    raw = path.read_bytes()
    content = raw + base64.b64decode(json.loads(raw)["box"])
    assert key.seed.reveal() not in content
    assert_hidden(key, content.decode("latin-1"))
    assert not [word for word in (DOMAIN, "ada", "OpenGrid", key.public_key, PASSPHRASE)
                if word.encode() in content]  # fmt: skip
    assert opened(path).keys() == (key,)


@pytest.mark.parametrize("passphrase", [None, "wrong", PASSPHRASE + " "])
def test_a_wrong_or_missing_passphrase_opens_nothing(path: Path, passphrase: str | None) -> None:
    opened(path).new(DOMAIN)
    before = path.read_bytes()
    with pytest.raises(WalletLockedError, match=str(path)):
        opened(path, passphrase)
    assert path.read_bytes() == before


def test_an_empty_passphrase_is_refused(path: Path) -> None:
    with pytest.raises(WalletError, match="not empty"):
        opened(path, "")


def test_setting_a_passphrase_encrypts_the_file_that_is_there(path: Path) -> None:
    plain = Wallet(path)
    key = plain.new(DOMAIN, "ada")
    assert opened(path).keys() == (key,)
    assert_hidden(key, path.read_text())
    with pytest.raises(WalletLockedError):
        plain.new(OTHER)


def test_the_salt_and_the_cost_stay_with_the_file_and_the_box_is_new_each_time(path: Path) -> None:
    opened(path).new(DOMAIN)
    first = json.loads(path.read_bytes())
    Wallet(path, passphrase=PASSPHRASE, cost=KdfCost(2, 16384)).new(OTHER)
    second = json.loads(path.read_bytes())
    assert first["kdf"] == second["kdf"]
    assert (first["kdf"]["opslimit"], first["kdf"]["memlimit_bytes"]) == (1, 8192)
    nonce_base64 = 32  # 24 bytes
    assert first["box"][:nonce_base64] != second["box"][:nonce_base64]


def test_two_wallets_with_one_passphrase_have_different_salts(tmp_path: Path) -> None:
    opened(tmp_path / "a.json").new(DOMAIN)
    opened(tmp_path / "b.json").new(DOMAIN)
    salts = [json.loads((tmp_path / f"{name}.json").read_bytes())["kdf"]["salt"] for name in "ab"]
    assert salts[0] != salts[1]


def test_a_guess_at_the_passphrase_is_moderately_expensive_by_default() -> None:
    assert KdfCost() == KdfCost(opslimit=3, memlimit_bytes=256 << 20)


@pytest.mark.parametrize("cost", [(0, 8192), (1, 8191), (5, 8192), (1, (1 << 30) + 1)], ids=str)
def test_a_cost_that_no_wallet_would_read_back_is_refused(cost: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="sensitive"):
        KdfCost(*cost)
    assert KdfCost(4, 1 << 30) != KdfCost(1, 8192)  # both edges are fine


def test_a_changed_box_is_refused_and_kept(path: Path) -> None:
    opened(path).new(DOMAIN)
    sealed = json.loads(path.read_bytes())
    box = bytearray(base64.b64decode(sealed["box"]))
    box[-1] ^= 1
    path.write_text(json.dumps(sealed | {"box": base64.b64encode(box).decode()}))
    before = path.read_bytes()
    with pytest.raises(WalletLockedError, match="file was changed"):
        opened(path)
    assert path.read_bytes() == before


def plain_document(path: Path) -> Any:
    return json.loads(path.read_bytes())


def with_key_changed(document: Any, **changes: object) -> Any:
    return document | {"content": [document["content"][0] | changes]}


KDF = {"salt": base64.b64encode(bytes(16)).decode(), "opslimit": 3, "memlimit_bytes": 1 << 40}
BOMB = {"seal": "secretbox", "version": 1, "box": "", "kdf": KDF}

DAMAGE: dict[str, Callable[[Any], str]] = {
    "empty": lambda _: "",
    "not json": lambda _: "\0\0\0\0",
    "half": lambda document: json.dumps(document)[:-20],
    "newer": lambda document: json.dumps(document | {"version": 2}),
    "a list": lambda document: json.dumps([document]),
    "another seal": lambda document: json.dumps(document | {"seal": "rot13"}),
    "another seed": lambda document: json.dumps(
        with_key_changed(document, seed=base64.b64encode(bytes(32)).decode())
    ),
    "a short seed": lambda document: json.dumps(with_key_changed(document, seed="AAAA")),
    "a seed in no base64": lambda document: json.dumps(with_key_changed(document, seed="?")),
    "a seed that is a number": lambda document: json.dumps(with_key_changed(document, seed=7)),
    "an unknown field": lambda document: json.dumps(with_key_changed(document, colour="red")),
    "a bomb": lambda _: json.dumps(BOMB),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_copied_told_and_left_alone(
    path: Path, damage: Callable[[Any], str]
) -> None:
    wallet = Wallet(path)
    wallet.new(DOMAIN)
    path.write_text(damage(plain_document(path)))
    damaged = path.read_bytes()
    for use in (wallet.keys, lambda: wallet.new(OTHER), lambda: Wallet(path)):
        with pytest.raises(WalletError, match="damaged, or of a newer p2pgrid") as refused:
            use()
        (kept,) = path.parent.glob("wallet.json.damaged-*")
        assert str(kept) in str(refused.value)
        assert kept.read_bytes() == path.read_bytes() == damaged
        assert mode(kept) == 0o600


def test_a_wallet_that_cannot_be_read_or_made_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match=f"{tmp_path}: Is a directory"):
        Wallet(tmp_path)
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "wallet.json"
    with pytest.raises(WalletError, match=f"{below}: Not a directory"):
        Wallet(below)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_crash_before_the_rename_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, passphrase: str | None
) -> None:
    def crash(*_: object) -> None:
        raise error

    key = opened(path, passphrase).new(DOMAIN)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises((WalletError, KeyboardInterrupt)):
            opened(path, passphrase).new(OTHER)
    assert opened(path, passphrase).keys() == (key,)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "wallet.json",
        "wallet.json.lock",
    ]


def test_what_a_killed_writer_left_is_swept_away(path: Path) -> None:
    key = Wallet(path).new(DOMAIN)
    left = path.with_name("wallet.json.new")
    left.write_text('{"seal": "no')
    left.chmod(0o666)
    assert Wallet(path).keys() == (key,)
    made = Wallet(path).new(OTHER)
    assert Wallet(path).keys() == (key, made)
    assert not left.exists()
    assert mode(path) == 0o600


def test_the_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def record(name: str) -> None:
        real = getattr(os, name)

        def recorded(*arguments: Any) -> None:
            steps.append(name)
            real(*arguments)

        monkeypatch.setattr(os, name, recorded)

    record("fsync")
    record("replace")
    Wallet(path).new(DOMAIN)
    assert steps == ["fsync", "replace", "fsync"]  # the file, its name, the directory
