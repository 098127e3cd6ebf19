"""One key of a wallet: how it is made, shown, and written down."""

import base64
import re
from typing import Annotated, Any, TypedDict

import msgspec
import nacl.utils
from msgspec import Meta
from nacl.signing import SigningKey
from typing_extensions import override

from p2pgrid.errors import SchemaError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.secret import Secret
from p2pgrid.protocol.statements import SignedLogin, sign_login

SEED_BYTES = 32
PRIVATE_KEY = re.compile(rb"[0-9a-f]{64}")
SHOWN_DIGITS = 6
"""Hexadecimal digits of a private key that tables show: 24 of its 256 random bits."""


class WalletKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Ed25519 key of one user at one domain; no text form of it shows the seed."""

    domain: PeerId
    user: str
    network: str = ""
    name: str = ""
    """The domain's name, for people."""
    public_key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    seed: Secret

    @override
    def __hash__(self) -> int:
        return hash((self.domain, self.user, self.public_key))

    @property
    def place(self) -> tuple[str, PeerId, str]:
        """Where it belongs; a wallet has one key for each: network, domain, user."""
        return self.network, self.domain, self.user

    @property
    def row(self) -> "WalletRow":
        """The line of a table; the private key is masked."""
        return WalletRow(
            network=self.network,
            domain=self.name or self.domain,
            pubkey=self.public_key,
            prikey=f"{self.seed.reveal().hex()[:SHOWN_DIGITS]}…",
        )

    def sign_login(self, *, peer: PeerId, nonce: bytes, now: float) -> SignedLogin:
        """Signs a login on this key's domain; see ``protocol.statements.sign_login``."""
        return sign_login(self.seed, audience=self.domain, peer=peer, nonce=nonce, now=now)


class WalletRow(TypedDict):
    """One line of the table that a person sees."""

    network: str
    domain: str
    pubkey: str
    prikey: str


def new_key(domain: PeerId, user: str, *, name: str, network: str) -> WalletKey:
    """A key that nobody has yet."""
    seed = Secret(nacl.utils.random(SEED_BYTES))
    return key_of(seed, domain, user, name=name, network=network)


def key_of(seed: Secret, domain: PeerId, user: str, *, name: str, network: str) -> WalletKey:
    """The key with this seed."""
    return WalletKey(
        domain=domain,
        user=user,
        network=network,
        name=name,
        public_key=_public_key(seed),
        seed=seed,
    )


def seed_in(private_key: Secret) -> Secret:
    """The 32 bytes that the text of a private key stands for.

    Raises:
        SchemaError: not 64 lower-case hexadecimal characters; the error does not repeat it.
    """
    if not PRIVATE_KEY.fullmatch(private_key.reveal()):
        raise SchemaError(field="prikey", problem="expected 64 lower-case hexadecimal characters")
    return Secret(bytes.fromhex(private_key.reveal().decode()))


def encode(keys: tuple[WalletKey, ...]) -> Secret:
    """The document of a vault."""
    return Secret(msgspec.json.encode(keys, enc_hook=_as_plain))


def decode(content: Secret) -> tuple[WalletKey, ...]:
    """The keys in the document of a vault.

    Raises:
        MALFORMED, ValueError: it is damaged.
    """
    keys = msgspec.json.decode(content.reveal(), type=tuple[WalletKey, ...], dec_hook=_as_secret)
    for key in keys:
        if _public_key(key.seed) != key.public_key:
            raise ValueError(f"the two halves of the key for {key.domain} do not fit")
    return keys


def _public_key(seed: Secret) -> str:
    return SigningKey(seed.reveal()).verify_key.encode().hex()


def _as_plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return base64.b64encode(value.reveal()).decode("ascii")
    raise NotImplementedError  # by which a hook tells msgspec that it does not know the type


def _as_secret(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(base64.b64decode(value, validate=True))
    raise NotImplementedError
