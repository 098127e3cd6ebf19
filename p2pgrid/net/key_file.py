"""Files that hold the key of a closed network; only their owner may read them."""

import os
import secrets
from pathlib import Path

from p2pgrid.errors import NetworkKeyFileError, SchemaError
from p2pgrid.protocol import network_key
from p2pgrid.protocol.secret import Secret

NAME = "network.key"
"""What the file is called in ``$P2PGRID_HOME`` and in a node's directory."""


def read_key(path: Path) -> Secret:
    """The key in a file.

    Raises:
        NetworkKeyFileError: it cannot be read, or is no key file.
    """
    try:
        with path.open("rb") as file:
            return network_key.decode(file.read(network_key.MAX_FILE_BYTES + 1))
    except OSError as error:
        raise NetworkKeyFileError(path=str(path), problem=str(error.strerror)) from error
    except SchemaError as error:
        raise NetworkKeyFileError(path=str(path), problem=error.problem) from None


def home_key(home: Path) -> Path | None:
    """The key file of a ``$P2PGRID_HOME``, if it has one: then all that is in it is closed."""
    return home / NAME if (home / NAME).exists() else None


def make_key(path: Path) -> None:
    """Makes a key by chance, in a new file with mode 0600.

    Raises:
        NetworkKeyFileError: the file exists, or cannot be written.
    """
    content = network_key.encode(Secret(secrets.token_bytes(network_key.KEY_BYTES)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise NetworkKeyFileError(path=str(path), problem=str(error.strerror)) from error
