"""A person's keys: one per domain and user name, in one private file.

A key is made here and leaves only in an encrypted export, or when somebody asks to see it; the
owner of a domain enrols its public half.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from p2pgrid.client.passphrase import secret_of
from p2pgrid.client.vault import InsecureWalletWarning, KdfCost, Vault
from p2pgrid.client.wallet_keys import (
    WalletKey,
    WalletRow,
    decode,
    encode,
    key_of,
    new_key,
    seed_in,
)
from p2pgrid.client.wallet_merge import Conflicts, Imported, merged
from p2pgrid.errors import NoKeyError, SchemaError, WalletError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.secret import Secret

if TYPE_CHECKING:
    from p2pgrid.client.tables import Table

__all__ = [
    "Conflicts",
    "Imported",
    "InsecureWalletWarning",
    "KdfCost",
    "Wallet",
    "WalletKey",
    "WalletRow",
]

COLUMNS = ("network", "domain", "pubkey", "prikey")


class Wallet:
    """The keys in one file, in the order in which they were made.

    At most one key per (network, domain, user); every call reads the file again, so that two
    programs with the same wallet see each other's keys and lose none; no text form shows a seed or
    passphrase.
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
        secret = None if passphrase is None else secret_of(passphrase)
        del passphrase  # some tracebacks show the locals of a frame
        self._path, self._cost = path, cost or KdfCost()
        self._vault = Vault(path, passphrase=secret, cost=self._cost)
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
            made = new_key(domain, user, name=name, network=network)
            self._vault.write(encode((*keys, made)))
            return made

    def add(
        self,
        *,
        network: str,
        domain: str,
        name: str = "",
        user: str = "",
        pubkey: str | None = None,
        prikey: str | None = None,
    ) -> WalletKey:
        """Puts a key into the wallet, in place of the one for the same network, domain and user.

        A key that is replaced is gone for ever: ``export`` it before, if it is still of use.

        Args:
            network: the name of the network that lists the domain.
            domain: its peer id; or what you call it, for a domain that you have not met yet.
            name: what you call the domain.
            user: tells apart several keys for one domain.
            pubkey: 64 lower-case hexadecimal characters; only together with ``prikey``.
            prikey: likewise; without it a new key is made.

        Raises:
            SchemaError: no such text, or the two halves do not fit.
        """
        given = None if prikey is None else Secret(prikey.encode(errors="replace"))
        del prikey  # some tracebacks show the locals of a frame
        place = PeerId(domain)
        if given is None:
            key = new_key(place, user, name=name, network=network)
        else:
            key = key_of(seed_in(given), place, user, name=name, network=network)
        if pubkey not in {None, key.public_key} or (given is None and pubkey is not None):
            raise SchemaError(field="pubkey", problem="expected the public half of the prikey")
        self.keep(key)
        return key

    def keep(self, key: WalletKey) -> None:
        """Puts a key into the wallet, in place of the one for the same network, domain and user."""
        with self._vault.locked():
            keys, _ = merged(self.keys(), (key,), "replace")
            self._vault.write(encode(keys))

    def keys(self) -> tuple[WalletKey, ...]:
        """All keys, oldest first.

        Raises:
            WalletLockedError: the file was encrypted meanwhile.
            WalletError: the file is damaged or cannot be read.
        """
        return _keys_in(self._vault) or ()

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
            self._vault.write(encode(tuple(key for key in keys if key is not gone)))

    def rows(self) -> list[WalletRow]:
        """The keys as table rows; of the private key six characters are shown."""
        return [key.row for key in self.keys()]

    @property
    def domain_keys(self) -> "Table":
        """The keys as a table: network, domain, pubkey, prikey; the last one masked."""
        from p2pgrid.client.tables import table  # noqa: PLC0415 pandas is heavy

        return table(self.rows(), COLUMNS)

    def registered(self, network: str) -> int:
        """How many keys the wallet holds for domains of a network: the rows of ``domain_keys``."""
        return sum(key.network == network for key in self.keys())

    def reveal(self, domain: str, user: str | None = None) -> str:
        """The private key for a domain, 64 hexadecimal characters; whoever has it is you there.

        Args:
            domain: its peer id, or its name as ``domain_keys`` shows it.
            user: whose; default: the oldest key for the domain.

        Raises:
            NoKeyError: there is none.
            WalletError: several domains have this name; give the peer id.
        """
        return self._shown(domain, user).seed.reveal().hex()

    def export(
        self,
        path: Path | str,
        passphrase: str,
        *,
        domain: str | None = None,
        user: str | None = None,
    ) -> int:
        """Writes keys into a new file, encrypted, for a backup or another machine.

        Args:
            path: where nothing is yet.
            passphrase: of that file; not empty.
            domain: only the key for this one; default: all keys.
            user: whose; default: the oldest key for the domain.

        Returns:
            How many keys are in the file.

        Raises:
            NoKeyError: there is none.
            WalletError: the file exists or cannot be written.
        """
        secret = secret_of(passphrase)
        del passphrase
        keys = self.keys() if domain is None else (self._shown(domain, user),)
        Vault(Path(path), passphrase=secret, cost=self._cost).write_new(encode(keys))
        return len(keys)

    def import_(
        self, path: Path | str, passphrase: str, *, conflicts: Conflicts = "refuse"
    ) -> Imported:
        """Takes the keys of an exported file, all or none of them.

        Args:
            path: what ``export`` has written.
            passphrase: of that file.
            conflicts: what to do when both have a key for the same network, domain and user, and
                not the same key: ``refuse`` raises and changes nothing, ``keep`` leaves ours,
                ``replace`` takes theirs and forgets ours for ever.

        Raises:
            WalletConflictError: there are conflicts; with their number.
            WalletLockedError: the passphrase is wrong.
            WalletError: there is no such file, or it is damaged.
        """
        secret = secret_of(passphrase)
        del passphrase
        other = Vault(Path(path), passphrase=secret, cost=self._cost)
        if (coming := _keys_in(other)) is None:
            raise WalletError(f"there is no file {path}; give what wallet.export has written")
        with self._vault.locked():
            keys, imported = merged(self.keys(), coming, conflicts)
            self._vault.write(encode(keys))
        return imported

    def change_passphrase(self, old: str | None, new: str) -> None:
        """Encrypts the file by another passphrase; programs that have it open need the new one.

        Args:
            old: the one that it has; None for a wallet that is not encrypted.
            new: the one that it gets; not empty.

        Raises:
            WalletLockedError: ``old`` is another one; nothing was changed.
        """
        before, after = None if old is None else secret_of(old), secret_of(new)
        del old, new
        with self._vault.locked():
            self._vault.change_passphrase(before, after, encode(self.keys()))

    def _shown(self, domain: str, user: str | None) -> WalletKey:
        """The key that a person means who reads the table."""
        keys = [key for key in self.keys() if domain in {key.domain, key.name}]
        if len({key.domain for key in keys}) > 1:
            raise WalletError(f"{len(keys)} keys are for domains named {domain!r}; give a peer id")
        if (key := next((key for key in keys if user in {None, key.user}), None)) is None:
            raise NoKeyError(domain=domain, user=user)
        return key


def _keys_in(vault: Vault) -> tuple[WalletKey, ...] | None:
    """The keys in a file; None if there is no file."""
    if (content := vault.read()) is None:
        return None
    try:
        return decode(content)
    except (*MALFORMED, ValueError) as error:
        vault.refuse(error)


def _first(keys: tuple[WalletKey, ...], domain: PeerId, user: str | None) -> WalletKey | None:
    return next((key for key in keys if key.domain == domain and user in {None, key.user}), None)
