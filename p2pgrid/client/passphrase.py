"""Where the passphrase of a wallet comes from: a file, named at the edge."""

import os
from pathlib import Path

from p2pgrid.errors import WalletError, WalletLockedError
from p2pgrid.protocol.secret import Secret

PASSPHRASE_VARIABLE = "P2PGRID_WALLET_PASSPHRASE_FILE"  # noqa: S105 - a variable's name


def passphrase_from_environment() -> str | None:
    """The first line of the file that ``$P2PGRID_WALLET_PASSPHRASE_FILE`` names; for the edge only.

    Returns:
        None if the variable is not set: ask the person, or use no passphrase.

    Raises:
        WalletLockedError: the file cannot be read, or its first line is empty.
    """
    path = os.environ.get(PASSPHRASE_VARIABLE)
    return (
        passphrase_in(Path(path), named_by=f", named by ${PASSPHRASE_VARIABLE}") if path else None
    )


def passphrase_in(path: Path, *, named_by: str = "") -> str:
    """The first line of a file.

    Raises:
        WalletLockedError: the file cannot be read, or its first line is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WalletLockedError(f"cannot read {path}{named_by}") from error
    if not lines or not lines[0]:
        raise WalletLockedError(f"the first line of {path} is empty; it should be the passphrase")
    return lines[0]


def secret_of(passphrase: str) -> Secret:
    """A passphrase that no text form shows.

    Raises:
        WalletError: it is empty.
    """
    if passphrase == "":
        raise WalletError("the passphrase of a wallet is not empty; leave it out for none")
    return Secret(passphrase.encode())
