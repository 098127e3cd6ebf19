"""Cheap wallets, and how a seed could show."""

import base64
import stat
from pathlib import Path

from p2pgrid.client.wallet import KdfCost, Wallet, WalletKey
from p2pgrid.ids import peer_id_of

DOMAIN, OTHER = peer_id_of(bytes(32)), peer_id_of(bytes([1]) * 32)
CHEAP = KdfCost(opslimit=1, memlimit_bytes=8192)
PASSPHRASE = "correct horse battery staple"  # noqa: S105 - of test files only


def opened(path: Path, passphrase: str | None = PASSPHRASE) -> Wallet:
    return Wallet(path, passphrase=passphrase, cost=CHEAP)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def forms(seed: bytes) -> tuple[str, ...]:
    """How a seed could show in a text."""
    return seed.hex(), base64.b64encode(seed).decode(), repr(seed)[2:-1], str(list(seed))[1:-1]


def assert_hidden(key: WalletKey, text: str) -> None:
    assert not [form for form in forms(key.seed.reveal()) if form in text]


def masked(key: WalletKey) -> str:
    """What tables show of a private key."""
    return key.seed.reveal().hex()[:6] + "…"
