"""A person's keys: one per domain and user name, in one private file.

A key is made here and never leaves; the owner of a domain enrols its public half.
"""

import base64
import os
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import nacl.utils
from msgspec import Meta
from nacl.signing import SigningKey
from typing_extensions import override

from p2pgrid.client.vault import InsecureWalletWarning, KdfCost, Vault
from p2pgrid.errors import NoKeyError, WalletError, WalletLockedError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.secret import Secret
from p2pgrid.protocol.statements import SignedLogin, sign_login

__all__ = [
    "InsecureWalletWarning",
    "KdfCost",
    "Wallet",
    "WalletKey",
    "WalletRow",
    "passphrase_from_environment",
]

PASSPHRASE_VARIABLE = "P2PGRID_WALLET_PASSPHRASE_FILE"  # noqa: S105 - a variable's name

SEED_BYTES = 32


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

    def sign_login(self, *, peer: PeerId, nonce: bytes, now: float) -> SignedLogin:
        """Signs a login on this key's domain; see ``protocol.statements.sign_login``."""
        return sign_login(self.seed, audience=self.domain, peer=peer, nonce=nonce, now=now)


class WalletRow(TypedDict):
    """One line of the table that a person sees."""

    network: str
    domain: str
    pubkey: str
    prikey: str


class Wallet:
    """The keys in one file, in the order in which they were made.

    At most one key per (domain, user); every call reads the file again, so that two programs with
    the same wallet see each other's keys and lose none; no text form shows a seed or passphrase.
    """

    def __init__(
        self, path: Path, *, passphrase: str | None = None, cost: KdfCost | None = None
    ) -> None:
        """Opens the wallet; an absent file is an empty wallet, and is made with the first key.

        Args:
            path: The JSON file, ``wallet.json`` in the person's p2pgrid directory.
            passphrase: Encrypts the file as a whole; a file that is not encrypted yet becomes so.
            cost: What deriving a key from the passphrase costs, for a file without one.

        Raises:
            WalletLockedError: the passphrase is missing or wrong.
            WalletError: the file is damaged or cannot be read.
        """
        if passphrase == "":
            raise WalletError("the passphrase of a wallet is not empty; leave it out for none")
        secret = None if passphrase is None else Secret(passphrase.encode())
        del passphrase  # some tracebacks show the locals of a frame
        self._path = path
        self._vault = Vault(path, passphrase=secret, cost=cost or KdfCost())
        self.keys()
        self._vault.seal()

    @override
    def __repr__(self) -> str:
        return f"Wallet({str(self._path)!r})"

    def new(
        self, domain: PeerId, user: str = "", *, name: str = "", network: str = ""
    ) -> WalletKey:
        """The key for a user at a domain: made if there is none, otherwise as it is."""
        with self._vault.locked():
            keys = self.keys()
            if (known := _first(keys, domain, user)) is not None:
                return known
            made = _make_key(domain, user, name=name, network=network)
            self._vault.write(_encode((*keys, made)))
            return made

    def keys(self) -> tuple[WalletKey, ...]:
        """All keys, oldest first.

        Raises:
            WalletLockedError: the file was encrypted meanwhile.
            WalletError: the file is damaged or cannot be read.
        """
        content = self._vault.read()
        if content is None:
            return ()
        try:
            return _decode(content)
        except (*MALFORMED, ValueError) as error:
            self._vault.refuse(error)

    def key_for(self, domain: PeerId, user: str | None = None) -> WalletKey:
        """The key of a user at a domain; without a user, the oldest for the domain.

        Raises:
            NoKeyError: there is none.
        """
        if (key := _first(self.keys(), domain, user)) is None:
            raise NoKeyError(domain=domain, user=user)
        return key

    def holder_of(self, public_key: bytes) -> WalletKey | None:
        """The key whose public half this is; None when the wallet has it not."""
        text = public_key.hex()
        return next((key for key in self.keys() if key.public_key == text), None)

    def public_key(self, domain: PeerId, user: str | None = None) -> str:
        """What the owner of the domain enrols: 64 hex characters.

        Raises:
            NoKeyError: there is none.
        """
        return self.key_for(domain, user).public_key

    def remove(self, domain: PeerId, user: str) -> None:
        """Forgets a key for ever; what the domain enrolled becomes of no use.

        Raises:
            NoKeyError: there is none.
        """
        with self._vault.locked():
            keys = self.keys()
            if (gone := _first(keys, domain, user)) is None:
                raise NoKeyError(domain=domain, user=user)
            self._vault.write(_encode(tuple(key for key in keys if key is not gone)))

    def rows(self) -> list[WalletRow]:
        """The keys as table rows; the private key is masked."""
        return [
            WalletRow(
                network=key.network,
                domain=key.name or key.domain,
                pubkey=key.public_key,
                prikey=str(key.seed),
            )
            for key in self.keys()
        ]


def passphrase_from_environment() -> str | None:
    """The first line of the file that ``$P2PGRID_WALLET_PASSPHRASE_FILE`` names; for the edge only.

    Returns:
        None if the variable is not set: ask the person, or use no passphrase.

    Raises:
        WalletLockedError: the file cannot be read, or its first line is empty.
    """
    if not (path := os.environ.get(PASSPHRASE_VARIABLE)):
        return None
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WalletLockedError(f"cannot read {path}, named by ${PASSPHRASE_VARIABLE}") from error
    if not lines or not lines[0]:
        raise WalletLockedError(f"the first line of {path} is empty; it should be the passphrase")
    return lines[0]


def _first(keys: tuple[WalletKey, ...], domain: PeerId, user: str | None) -> WalletKey | None:
    return next((key for key in keys if key.domain == domain and user in {None, key.user}), None)


def _public_key(seed: Secret) -> str:
    return SigningKey(seed.reveal()).verify_key.encode().hex()


def _make_key(domain: PeerId, user: str, *, name: str, network: str) -> WalletKey:
    seed = Secret(nacl.utils.random(SEED_BYTES))
    public_key = _public_key(seed)
    return WalletKey(
        domain=domain, user=user, network=network, name=name, public_key=public_key, seed=seed
    )


def _encode(keys: tuple[WalletKey, ...]) -> Secret:
    return Secret(msgspec.json.encode(keys, enc_hook=_as_plain))


def _decode(content: Secret) -> tuple[WalletKey, ...]:
    keys = msgspec.json.decode(content.reveal(), type=tuple[WalletKey, ...], dec_hook=_as_secret)
    for key in keys:
        if _public_key(key.seed) != key.public_key:
            raise ValueError(f"the two halves of the key for {key.domain} do not fit")
    return keys


def _as_plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return base64.b64encode(value.reveal()).decode("ascii")
    raise NotImplementedError  # by which a hook tells msgspec that it does not know the type


def _as_secret(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(base64.b64decode(value, validate=True))
    raise NotImplementedError
