"""The wallet loses no key, shows no seed and lets nobody else read it."""

import base64
import copy
import fcntl
import json
import logging
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import nacl.utils
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from nacl.signing import SigningKey
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback
from typing_extensions import override

import p2pgrid
from p2pgrid.client.wallet import (
    InsecureWalletWarning,
    KdfCost,
    Wallet,
    WalletKey,
    passphrase_from_environment,
)
from p2pgrid.errors import NoKeyError, WalletError, WalletLockedError
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.protocol.statements import check_login

DOMAIN, OTHER = peer_id_of(bytes(32)), peer_id_of(bytes([1]) * 32)
CHEAP = KdfCost(opslimit=1, memlimit_bytes=8192)
PASSPHRASE = "correct horse battery staple"  # noqa: S105 - of test files only


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "wallet.json"


def opened(path: Path, passphrase: str | None = PASSPHRASE) -> Wallet:
    return Wallet(path, passphrase=passphrase, cost=CHEAP)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def forms(seed: bytes) -> tuple[str, ...]:
    """How a seed could show in a text."""
    return seed.hex(), base64.b64encode(seed).decode(), repr(seed)[2:-1], str(list(seed))[1:-1]


def assert_hidden(key: WalletKey, text: str) -> None:
    assert not [form for form in forms(key.seed.reveal()) if form in text]


# Keys


def test_a_new_wallet_is_empty_and_makes_no_file(path: Path) -> None:
    assert Wallet(path).keys() == ()
    assert Wallet(path).rows() == []
    assert not path.parent.exists()


def test_a_key_is_made_once_and_survives_a_restart(path: Path) -> None:
    key = Wallet(path).new(DOMAIN, "ada", name="OpenGrid", network="CDC")
    again = Wallet(path).new(DOMAIN, "ada", name="another")
    assert again == key
    assert Wallet(path).keys() == (key,)
    assert (key.domain, key.user, key.name, key.network) == (DOMAIN, "ada", "OpenGrid", "CDC")
    assert key.public_key == SigningKey(key.seed.reveal()).verify_key.encode().hex()


def test_every_key_is_another_one(path: Path) -> None:
    wallet = Wallet(path)
    made = {wallet.new(domain, user) for domain in (DOMAIN, OTHER) for user in ("", "ada")}
    assert len({key.public_key for key in made}) == len(made) == 4


def test_without_a_user_the_oldest_key_of_the_domain_counts(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(OTHER, "zoe")
    oldest = wallet.new(DOMAIN, "zoe")
    ada = wallet.new(DOMAIN, "ada")
    assert wallet.key_for(DOMAIN) == oldest
    assert wallet.key_for(DOMAIN, "ada") == ada
    assert wallet.public_key(DOMAIN) == oldest.public_key
    assert wallet.public_key(DOMAIN, "ada") == ada.public_key


def test_the_unnamed_user_is_a_user_and_not_any(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(DOMAIN, "ada")
    with pytest.raises(NoKeyError):
        wallet.key_for(DOMAIN, "")


def test_a_missing_key_is_told_with_domain_and_user(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(DOMAIN, "ada")
    for use in (wallet.key_for, wallet.public_key, wallet.remove):
        with pytest.raises(NoKeyError) as missing:
            use(DOMAIN, "bob")
        assert (missing.value.domain, missing.value.user) == (DOMAIN, "bob")


def test_a_removed_key_is_gone_for_ever(path: Path) -> None:
    wallet = Wallet(path)
    gone, kept = wallet.new(DOMAIN, "ada"), wallet.new(DOMAIN, "bob")
    wallet.remove(DOMAIN, "ada")
    assert Wallet(path).keys() == (kept,)
    assert wallet.new(DOMAIN, "ada").public_key != gone.public_key


def test_a_key_signs_a_login_on_its_domain(path: Path) -> None:
    key = Wallet(path).new(DOMAIN, "ada")
    signed = key.sign_login(peer=OTHER, nonce=bytes(16), now=100.0)
    accepted = check_login(signed, audience=DOMAIN, peer=OTHER, nonce=bytes(16), now=100.0)
    assert accepted.hex() == key.public_key


def test_a_row_has_the_four_columns_and_masks_the_private_key(path: Path) -> None:
    wallet = Wallet(path)
    named = wallet.new(DOMAIN, name="OpenGrid", network="CDC")
    unnamed = wallet.new(OTHER)
    assert wallet.rows() == [
        {"network": "CDC", "domain": "OpenGrid", "pubkey": named.public_key, "prikey": "<secret>"},
        {"network": "", "domain": OTHER, "pubkey": unnamed.public_key, "prikey": "<secret>"},
    ]
    assert [*wallet.rows()[0]] == ["network", "domain", "pubkey", "prikey"]


# Privacy on the disk


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


# Masks


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


# Damage


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


# Many programs


ADD_KEYS = """
import sys
from pathlib import Path
from p2pgrid.client.wallet import KdfCost, Wallet

path, number, passphrase = sys.argv[1:]
wallet = Wallet(Path(path), passphrase=passphrase or None, cost=KdfCost(1, 8192))
print("ready", flush=True)
for key in range(10):
    wallet.new(f"domain-{number}-{key}")
print(wallet.new("shared").public_key)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python programs that import this p2pgrid; none outlives the test."""
    environment = os.environ | {"PYTHONPATH": str(Path(p2pgrid.__file__).parents[1])}
    with ExitStack() as programs:

        def start(source: str, *arguments: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", source, *arguments]
            program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            programs.enter_context(program)
            programs.callback(program.kill)
            return program

        yield start


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_programs_that_add_keys_at_once_lose_none(
    path: Path, start: Callable[..., subprocess.Popen[str]], passphrase: str
) -> None:
    wallet = opened(path, passphrase or None)
    wallet.new(DOMAIN)
    with path.with_name("wallet.json.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until all are ready, so that they do meet
        programs = [start(ADD_KEYS, str(path), str(number), passphrase) for number in range(4)]
        for program in programs:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
        assert len(wallet.keys()) == 1
    shared = {program.communicate(timeout=60)[0] for program in programs}
    assert [program.returncode for program in programs] == [0] * 4
    keys = wallet.keys()
    assert len({key.domain for key in keys}) == len(keys) == 1 + 4 * 10 + 1
    assert shared == {wallet.public_key(PeerId("shared")) + "\n"}


def test_the_module_is_light_to_import(start: Callable[..., subprocess.Popen[str]]) -> None:
    heavy = "{'libp2p', 'trio', 'torch', 'ray', 'numpy', 'rich'} & set(sys.modules)"
    program = start(f"import sys, p2pgrid.client.wallet; print({heavy})")
    assert program.communicate(timeout=60)[0] == "set()\n"


domains = st.sampled_from([DOMAIN, OTHER, peer_id_of(bytes([2]) * 32)])
users = st.sampled_from(["", "ada", "böb"])


class WalletMachine(RuleBasedStateMachine):
    """The file holds exactly the keys that were made and not removed, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp()) / "home" / "wallet.json"
        self.model: dict[tuple[PeerId, str], str] = {}
        self.passphrase: str | None = None

    @initialize(passphrase=st.sampled_from([None, PASSPHRASE]))
    def open(self, passphrase: str | None) -> None:
        self.passphrase = passphrase
        self.reopen()

    @rule()
    def reopen(self) -> None:
        self.wallet = opened(self.path, self.passphrase)

    @rule()
    def set_a_passphrase(self) -> None:
        self.passphrase = PASSPHRASE
        self.reopen()

    @rule(domain=domains, user=users, elsewhere=st.booleans())
    def new(self, domain: PeerId, user: str, *, elsewhere: bool) -> None:
        wallet = opened(self.path, self.passphrase) if elsewhere else self.wallet
        made = wallet.new(domain, user).public_key
        assert self.model.setdefault((domain, user), made) == made

    @rule(domain=domains, user=users)
    def remove(self, domain: PeerId, user: str) -> None:
        if self.model.pop((domain, user), None) is None:
            with pytest.raises(NoKeyError):
                self.wallet.remove(domain, user)
        else:
            self.wallet.remove(domain, user)

    @rule(domain=domains)
    def first_made(self, domain: PeerId) -> None:
        made = [key for (of, _), key in self.model.items() if of == domain]
        with suppress(NoKeyError):
            assert self.wallet.public_key(domain) == made[0]
            return
        assert made == []

    @invariant()
    def the_file_is_the_model(self) -> None:
        keys = self.wallet.keys()
        shown = [((key.domain, key.user), key.public_key) for key in keys]
        assert shown == list(self.model.items())

    @invariant()
    def the_file_is_private_and_tidy(self) -> None:
        files = list(self.path.parent.glob("*"))
        assert {mode(file) for file in files} <= {0o600}
        assert {file.name for file in files} <= {"wallet.json", "wallet.json.lock"}

    @override
    def teardown(self) -> None:
        shutil.rmtree(self.path.parents[1])


TestWalletMachine = WalletMachine.TestCase
TestWalletMachine.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


# The passphrase from the environment


def test_no_variable_means_no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("P2PGRID_WALLET_PASSPHRASE_FILE", raising=False)
    assert passphrase_from_environment() is None


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line\n"])
def test_the_passphrase_is_the_first_line_of_the_named_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    (tmp_path / "pass").write_bytes(f" {PASSPHRASE} ".encode() + end.encode())
    monkeypatch.setenv("P2PGRID_WALLET_PASSPHRASE_FILE", str(tmp_path / "pass"))
    assert passphrase_from_environment() == f" {PASSPHRASE} "


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_passphrase_file_of_no_use_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    named = tmp_path / "pass"
    if content is not None:
        named.write_bytes(content)
    monkeypatch.setenv("P2PGRID_WALLET_PASSPHRASE_FILE", str(named))
    with pytest.raises(WalletLockedError, match=str(named)):
        passphrase_from_environment()
