"""A secret document on disk: private, whole at every instant, encrypted when a passphrase is set.

The file is JSON. Without a passphrase the document stands in it as it is; with one it is sealed as
a whole (XSalsa20-Poly1305, key by argon2id), salt and cost beside it.
"""

import contextlib
import fcntl
import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Never

import msgspec
import nacl.utils
from msgspec import Meta
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from p2pgrid.errors import WalletError, WalletLockedError
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.secret import Secret

PRIVATE_FILE, PRIVATE_DIRECTORY, OTHERS = 0o600, 0o700, 0o077


class InsecureWalletWarning(UserWarning):
    """Other users of this machine could read the wallet; it is private again."""


@dataclass(frozen=True, slots=True)
class KdfCost:
    """What one guess at the passphrase costs; the default is argon2id's "moderate", about 0.5 s.

    At most "sensitive": a file that asks for more is refused, so none may be written.
    """

    opslimit: int = argon2id.OPSLIMIT_MODERATE
    memlimit_bytes: int = argon2id.MEMLIMIT_MODERATE

    def __post_init__(self) -> None:
        if not (
            argon2id.OPSLIMIT_MIN <= self.opslimit <= argon2id.OPSLIMIT_SENSITIVE
            and argon2id.MEMLIMIT_MIN <= self.memlimit_bytes <= argon2id.MEMLIMIT_SENSITIVE
        ):
            raise ValueError(f"{self} is not between argon2id's minimum and its 'sensitive'")


class _Kdf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bounds keep a planted file from taking all time and memory."""

    salt: Annotated[bytes, Meta(min_length=argon2id.SALTBYTES, max_length=argon2id.SALTBYTES)]
    opslimit: Annotated[int, Meta(ge=argon2id.OPSLIMIT_MIN, le=argon2id.OPSLIMIT_SENSITIVE)]
    memlimit_bytes: Annotated[int, Meta(ge=argon2id.MEMLIMIT_MIN, le=argon2id.MEMLIMIT_SENSITIVE)]


class _Open(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="seal", tag="none"):
    content: msgspec.Raw
    version: Literal[1] = 1


class _Sealed(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="seal", tag="secretbox"
):
    kdf: _Kdf
    box: bytes
    version: Literal[1] = 1


class Vault:
    """One JSON document in one file.

    The file is always a whole document, the last one written; only its owner reads it; a file that
    cannot be read is never overwritten. The directory is made private when the vault makes it.
    """

    def __init__(self, path: Path, *, passphrase: Secret | None, cost: KdfCost) -> None:
        self._path, self._passphrase, self._cost = path, passphrase, cost
        self._derived: tuple[_Kdf, Secret] | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other writers out, those of other processes too; readers need no lock.

        The lock is on a side file, because every write puts a new file in place of the old one.
        """
        with _disk_errors(self._path):
            self._path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            lock = os.open(self._beside("lock"), os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)

    def read(self) -> Secret | None:
        """The document; None if there is no file.

        Raises:
            WalletLockedError: the passphrase is missing or wrong.
            WalletError: the file is damaged; a copy of it was kept.
        """
        document = self._document()
        match document:
            case None:
                return None
            case _Open():
                return Secret(bytes(document.content))
            case _Sealed():
                return self._unsealed(document)

    def write(self, content: Secret) -> None:
        """Puts a new document in place of the old one; hold the lock.

        A crash leaves the old file or the new one, never a part.
        """
        new = self._beside("new")
        new.unlink(missing_ok=True)  # left by a crash; the lock says that nobody writes it
        try:
            _write_private(new, self._encoded(content))
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
        _sync_directory(self._path.parent)

    def write_new(self, content: Secret) -> None:
        """Makes the file, and never writes over another.

        Raises:
            WalletError: something is there already, or it cannot be written.
        """
        with _disk_errors(self._path):
            try:
                _write_private(self._path, self._encoded(content))
            except FileExistsError as error:
                raise WalletError(f"{self._path} exists; name a file that does not") from error
            except OSError:
                self._path.unlink(missing_ok=True)
                raise

    def change_passphrase(self, old: Secret | None, new: Secret, content: Secret) -> None:
        """Puts a new document in place of the old one, under another passphrase; hold the lock.

        Raises:
            WalletLockedError: ``old`` is not the passphrase.
        """
        if old != self._passphrase:
            raise WalletLockedError(f"the old passphrase of {self._path} is another one")
        changed = Vault(self._path, passphrase=new, cost=self._cost)
        changed.write(content)
        self._passphrase, self._derived = new, changed._derived

    def seal(self) -> None:
        """Encrypts a file that was written before the passphrase was set."""
        if self._passphrase is None or not isinstance(self._document(), _Open):
            return
        with self.locked():
            if (content := self.read()) is not None:
                self.write(content)

    def refuse(self, cause: Exception) -> Never:
        """Says that the file is damaged, and keeps a copy of it; the file itself stays.

        Raises:
            WalletError: always, with the path of the copy.
        """
        with _disk_errors(self._path):
            damaged = _read_private(self._path)
            # Named by its content: meeting the same damaged file again makes no second copy.
            mark = hashlib.sha256(damaged.reveal()).hexdigest()[:8]
            copy = self._beside(f"damaged-{mark}")
            with contextlib.suppress(FileExistsError):
                _write_private(copy, damaged)
        raise WalletError(
            f"{self._path} is damaged, or of a newer p2pgrid; a copy is kept at {copy}. "
            "Put a good wallet in its place, or move it away to begin with an empty one"
        ) from cause

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{suffix}")

    def _document(self) -> _Open | _Sealed | None:
        if (content := self._file()) is None:
            return None
        try:
            return msgspec.json.decode(content.reveal(), type=_Open | _Sealed)
        except MALFORMED as error:
            self.refuse(error)

    def _file(self) -> Secret | None:
        with _disk_errors(self._path):
            try:
                return _read_private(self._path)
            except FileNotFoundError:
                return None

    def _unsealed(self, document: _Sealed) -> Secret:
        if self._passphrase is None:
            raise WalletLockedError(f"{self._path} is encrypted; give its passphrase")
        key = self._key(document.kdf, self._passphrase)
        try:
            content = SecretBox(key.reveal()).decrypt(document.box)
        except (CryptoError, ValueError):
            raise WalletLockedError(
                f"the passphrase does not open {self._path}: it is another one, "
                "or the file was changed"
            ) from None
        self._derived = document.kdf, key
        return Secret(content)

    def _encoded(self, content: Secret) -> Secret:
        if self._passphrase is None:
            return Secret(msgspec.json.encode(_Open(msgspec.Raw(content.reveal()))))
        kdf, key = self._derived or self._new_key(self._passphrase)
        self._derived = kdf, key
        box = bytes(SecretBox(key.reveal()).encrypt(content.reveal()))
        return Secret(msgspec.json.encode(_Sealed(kdf, box)))

    def _new_key(self, passphrase: Secret) -> tuple[_Kdf, Secret]:
        salt = nacl.utils.random(argon2id.SALTBYTES)
        kdf = _Kdf(salt, self._cost.opslimit, self._cost.memlimit_bytes)
        return kdf, self._key(kdf, passphrase)

    def _key(self, kdf: _Kdf, passphrase: Secret) -> Secret:
        if self._derived is not None and self._derived[0] == kdf:
            return self._derived[1]
        return Secret(
            argon2id.kdf(
                SecretBox.KEY_SIZE, passphrase.reveal(), kdf.salt, kdf.opslimit, kdf.memlimit_bytes
            )
        )


def _read_private(path: Path) -> Secret:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & OTHERS:
            os.fchmod(file.fileno(), PRIVATE_FILE)
            warnings.warn(
                f"other users could read {path}; it is private again, but make new keys "
                "if somebody else uses this machine",
                InsecureWalletWarning,
                stacklevel=2,
            )
        return Secret(file.read())


def _write_private(path: Path, content: Secret) -> None:
    """Makes a file that was not there, and has it on the disk when it returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.reveal())
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WalletError(
            f"cannot use {path}: {error.strerror}; look at its directory and the disk"
        ) from error
