"""C13 to C16: the wallet as a table, its keys in and out; at no place a private key that shows."""

import json
import logging
from pathlib import Path

import pytest
from nacl.signing import SigningKey

import p2pgrid
from p2pgrid.client import default
from p2pgrid.client.wallet import Imported, InsecureWalletWarning, Wallet
from p2pgrid.errors import (
    NoKeyError,
    P2PGridError,
    SchemaError,
    WalletConflictError,
    WalletError,
    WalletLockedError,
)
from tests.unit.test_wallet_masks import shown_with_locals
from tests.unit.wallets import (
    DOMAIN,
    OTHER,
    PASSPHRASE,
    assert_hidden,
    masked,
    mode,
    opened,
)

SEEDED = {"OpenGrid": 5, "AMA": 5, "CDC": 2}
HEX = "0123456789abcdef"
SEED = "a39a0e" + "5c" * 29
PUBLIC = SigningKey(bytes.fromhex(SEED)).verify_key.encode().hex()


def seeded(wallet: Wallet) -> Wallet:
    """The wallet of notebook 000."""
    for network, domains in SEEDED.items():
        for number in range(domains):
            wallet.add(network=network, domain=f"{network}-{number}")
    return wallet


def test_c13_an_empty_wallet_is_an_empty_table_with_its_columns(path: Path) -> None:
    table = Wallet(path).domain_keys
    assert list(table.columns) == ["network", "domain", "pubkey", "prikey"]
    assert len(table) == 0
    assert not path.exists()


def test_c13_the_table_has_a_row_per_key(path: Path) -> None:
    table = seeded(Wallet(path)).domain_keys
    assert len(table) == 12
    assert dict(table["network"].value_counts()) == SEEDED
    assert list(table["domain"])[:2] == ["OpenGrid-0", "OpenGrid-1"]


def test_c13_the_wallet_of_the_program_is_a_name_of_the_package(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P2PGRID_HOME", str(path.parent))
    default.default_client.cache_clear()
    try:
        p2pgrid.wallet.add(network="CDC", domain="Atlanta")
        assert list(p2pgrid.wallet.domain_keys["domain"]) == ["Atlanta"]
        assert mode(path) == 0o600
    finally:
        default.default_client.cache_clear()


def test_c14_keys_are_64_lower_case_hex_digits_and_revealed_on_demand(path: Path) -> None:
    wallet = seeded(Wallet(path))
    for row in wallet.domain_keys.itertuples():
        prikey = wallet.reveal(row.domain)
        assert {len(prikey), len(row.pubkey)} == {64}
        assert set(prikey + row.pubkey) <= set(HEX)
        assert SigningKey(bytes.fromhex(prikey)).verify_key.encode().hex() == row.pubkey
        assert row.prikey == f"{prikey[:6]}…"


def test_c14_a_key_is_revealed_by_name_by_id_and_by_user(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(DOMAIN, "ada", name="UCSF")
    wallet.add(network="", domain=DOMAIN, name="UCSF", user="bob", prikey=SEED)
    assert wallet.reveal("UCSF", "bob") == wallet.reveal(DOMAIN, "bob") == SEED
    assert wallet.reveal("UCSF") != SEED
    with pytest.raises(NoKeyError):
        wallet.reveal("UCSF", "eve")
    with pytest.raises(NoKeyError):
        wallet.reveal("Vanderbilt")


def test_c14_a_name_that_two_domains_have_reveals_neither(path: Path) -> None:
    wallet = Wallet(path)
    wallet.new(DOMAIN, name="UCSF")
    wallet.new(OTHER, name="UCSF")
    with pytest.raises(WalletError, match="2 keys are for domains named 'UCSF'"):
        wallet.reveal("UCSF")


def test_c14_no_table_page_or_log_shows_a_whole_private_key(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wallet = seeded(Wallet(path))
    table = wallet.domain_keys
    logging.getLogger("test").warning("%s %r %s", table, wallet, wallet.rows())
    everything = "".join(
        (repr(table), table._repr_html_(), table.to_csv(), repr(table.iloc[0]), caplog.text)
    )
    keys = wallet.keys()
    for key in keys:
        assert masked(key) in everything
        assert_hidden(key, everything)


BAD_KEYS = {
    "a digit short": {"prikey": SEED[:-1]},
    "a digit long": {"prikey": SEED + "0"},
    "upper case": {"prikey": SEED.upper()},
    "no hexadecimal": {"prikey": "g" + SEED[1:]},
    "a surrogate": {"prikey": SEED[1:] + "\ud800"},
    "another public half": {"prikey": SEED, "pubkey": "ab" * 32},
    "a public half alone": {"pubkey": PUBLIC},
}


@pytest.mark.parametrize("given", BAD_KEYS.values(), ids=BAD_KEYS)
def test_c14_a_bad_key_is_refused_and_not_repeated(path: Path, given: dict[str, str]) -> None:
    wallet = Wallet(path)
    with pytest.raises(SchemaError) as refused:
        wallet.add(network="CDC", domain="Atlanta", **given)
    text = f"{refused.value!r} {shown_with_locals(refused.value)}"
    assert SEED[6:] not in text.lower()
    assert wallet.keys() == ()


def test_c14_both_halves_can_be_given(path: Path) -> None:
    key = Wallet(path).add(network="CDC", domain="Atlanta", prikey=SEED, pubkey=PUBLIC)
    assert (key.public_key, key.row["prikey"]) == (PUBLIC, "a39a0e…")
    assert Wallet(path).reveal("Atlanta") == SEED


def test_c15_a_key_for_a_domain_of_a_network_is_one_more_registered(path: Path) -> None:
    wallet = seeded(Wallet(path))
    assert wallet.registered("CDC") == 2
    wallet.add(network="CDC", domain="X")
    assert (wallet.registered("CDC"), wallet.registered("AMA")) == (3, 5)
    assert [wallet.registered(other) for other in ("NHS", "C", "")] == [0, 0, 0]
    assert Wallet(path).registered("CDC") == 3


def test_c15_the_same_network_and_domain_again_is_replaced_in_its_place(path: Path) -> None:
    wallet = seeded(Wallet(path))
    before = wallet.reveal("AMA-2")
    wallet.add(network="AMA", domain="AMA-2", prikey=SEED)
    assert (wallet.registered("AMA"), len(wallet.domain_keys)) == (5, 12)
    assert wallet.reveal("AMA-2") == SEED != before
    assert wallet.domain_keys.iloc[7].domain == "AMA-2"


def test_c15_one_name_in_two_networks_is_two_rows(path: Path) -> None:
    wallet = Wallet(path)
    wallet.add(network="AMA", domain="UCSF")
    wallet.add(network="CDC", domain="UCSF")
    assert (wallet.registered("AMA"), wallet.registered("CDC")) == (1, 1)


def test_c16_the_file_is_private_and_survives_a_restart(path: Path) -> None:
    wallet = seeded(Wallet(path))
    assert mode(path) == 0o600
    assert Wallet(path).domain_keys.equals(wallet.domain_keys)


def test_c16_a_world_readable_file_is_warned_of(path: Path) -> None:
    seeded(Wallet(path))
    path.chmod(0o644)
    with pytest.warns(InsecureWalletWarning, match=str(path)):
        assert Wallet(path).registered("CDC") == 2
    assert mode(path) == 0o600


def test_c16_a_wrong_passphrase_leaves_the_wallet_locked(path: Path) -> None:
    seeded(opened(path))
    for wrong in (None, "wrong"):
        with pytest.raises(WalletLockedError):
            opened(path, wrong)


def test_c16_a_changed_passphrase_opens_the_wallet_and_the_old_one_does_not(path: Path) -> None:
    wallet = seeded(opened(path))
    salt = json.loads(path.read_bytes())["kdf"]["salt"]
    wallet.change_passphrase(PASSPHRASE, "another one")
    assert wallet.registered("CDC") == 2
    assert opened(path, "another one").keys() == wallet.keys()
    assert json.loads(path.read_bytes())["kdf"]["salt"] != salt
    with pytest.raises(WalletLockedError):
        opened(path)


@pytest.mark.parametrize("start", [None, PASSPHRASE])
def test_c16_a_wrong_old_passphrase_changes_nothing(path: Path, start: str | None) -> None:
    wallet = seeded(opened(path, start))
    before = path.read_bytes()
    with pytest.raises(WalletLockedError, match="old passphrase") as refused:
        wallet.change_passphrase("wrong", "secret-new")
    assert "secret-new" not in shown_with_locals(refused.value)
    assert path.read_bytes() == before
    with pytest.raises(WalletError, match="not empty"):
        wallet.change_passphrase(start, "")
    assert len(opened(path, start).keys()) == 12


def test_c16_a_passphrase_encrypts_a_plain_wallet_and_an_empty_one(path: Path) -> None:
    wallet = opened(path, None)
    wallet.change_passphrase(None, PASSPHRASE)
    key = wallet.new(DOMAIN)
    assert_hidden(key, path.read_text())
    assert opened(path).keys() == (key,)
    with pytest.raises(WalletLockedError):
        Wallet(path)


def test_exported_keys_come_into_another_wallet(path: Path, tmp_path: Path) -> None:
    wallet = seeded(opened(path))
    file = tmp_path / "keys"
    assert wallet.export(file, "for the way") == 12
    assert mode(file) == 0o600
    keys = wallet.keys()
    assert not [key for key in keys if key.public_key in file.read_text()]
    other = opened(tmp_path / "other" / "wallet.json")
    assert other.import_(file, "for the way") == Imported(12, 0, 0, 0)
    assert other.keys() == wallet.keys()
    assert other.import_(file, "for the way") == Imported(0, 12, 0, 0)
    assert other.keys() == wallet.keys()


def test_one_key_is_exported_alone(path: Path, tmp_path: Path) -> None:
    wallet = seeded(opened(path))
    assert wallet.export(tmp_path / "one", "for the way", domain="CDC-1") == 1
    other = opened(tmp_path / "other" / "wallet.json")
    other.import_(tmp_path / "one", "for the way")
    assert other.reveal("CDC-1") == wallet.reveal("CDC-1")
    assert len(other.keys()) == 1
    with pytest.raises(NoKeyError):
        wallet.export(tmp_path / "none", "for the way", domain="CDC-9")
    assert not (tmp_path / "none").exists()


def test_an_export_never_writes_over_a_file(path: Path, tmp_path: Path) -> None:
    wallet = seeded(opened(path))
    (tmp_path / "keys").write_text("a diary")
    with pytest.raises(WalletError, match="exists"):
        wallet.export(tmp_path / "keys", "for the way")
    assert (tmp_path / "keys").read_text() == "a diary"
    with pytest.raises(WalletError, match="not empty"):
        wallet.export(tmp_path / "others", "")


def test_conflicts_are_reported_with_their_number_and_nothing_is_imported(
    path: Path, tmp_path: Path
) -> None:
    seeded(opened(path)).export(tmp_path / "keys", "for the way")
    other = opened(tmp_path / "other" / "wallet.json")
    mine = [other.add(network="CDC", domain=f"CDC-{number}") for number in range(2)]
    with pytest.raises(WalletConflictError) as refused:
        other.import_(tmp_path / "keys", "for the way")
    assert (refused.value.conflicts, refused.value.keys) == (2, 12)
    assert other.keys() == tuple(mine)
    assert other.import_(tmp_path / "keys", "for the way", conflicts="keep") == (10, 0, 2, 0)
    assert [other.reveal(f"CDC-{n}") for n in range(2)] == [k.seed.reveal().hex() for k in mine]
    assert other.import_(tmp_path / "keys", "for the way", conflicts="replace") == (0, 10, 0, 2)
    assert other.reveal("CDC-0") == opened(path).reveal("CDC-0")
    assert len(other.keys()) == 12


def test_what_cannot_be_imported_changes_nothing(path: Path, tmp_path: Path) -> None:
    wallet = seeded(opened(path))
    wallet.export(tmp_path / "keys", "for the way")
    (tmp_path / "damaged").write_text("{")
    (tmp_path / "damaged").chmod(0o600)
    before = path.read_bytes()
    wrong: list[tuple[str, str, type[P2PGridError]]] = [
        ("keys", "wrong", WalletLockedError),
        ("damaged", "for the way", WalletError),
        ("nowhere", "for the way", WalletError),
    ]
    for name, passphrase, error in wrong:
        with pytest.raises(error):
            wallet.import_(tmp_path / name, passphrase)
    assert path.read_bytes() == before
