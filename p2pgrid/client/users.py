"""The users of a domain, for its owner."""

from collections import Counter
from typing import TYPE_CHECKING

from typing_extensions import override

from p2pgrid.client.display import Tabular
from p2pgrid.client.home import Home
from p2pgrid.errors import SchemaError
from p2pgrid.ids import PUBLIC_KEY_BYTES
from p2pgrid.net.calls import ask
from p2pgrid.protocol.messages import (
    Account,
    Accounts,
    Done,
    Enrol,
    ListAccounts,
    RemoveAccount,
    Role,
)
from p2pgrid.protocol.text import Rows

if TYPE_CHECKING:
    from p2pgrid.client.tables import Table


class UserList(Tabular, tuple[Account, ...]):
    """Accounts, in the order of their names; prints as a table."""

    __slots__ = ()

    @override
    def _rows(self) -> Rows:
        rows = ((each.name, each.role, each.public_key.hex()) for each in self)
        return (("name", "role", "public key"), *rows)


class Users:
    """Accounts: a name, a role, and public keys."""

    def __init__(self, domain: Home) -> None:
        self._domain = domain

    def add(self, name: str, public_key: str, *, role: Role = "scientist") -> None:
        """Enrols a user; the same again changes nothing. Owners only.

        Args:
            name: unique in the domain; what ``allowed_users`` refers to.
            public_key: 64 hex characters, from the user's wallet; it is no secret, but make sure
                that it reached you unchanged.
            role: ``scientist`` computes on what is listed; ``owner`` may do everything.

        Raises:
            PermissionDeniedError: only owners enrol.
            DuplicateError: the name or the key belongs to another account.
            SchemaError: not the text of a public key.
        """
        key = key_bytes(public_key)
        self._domain.login()
        ask(self._domain.link(), Enrol(name=name, public_key=key, role=role), Done)

    @property
    def table(self) -> "Table":
        """The accounts as a table: name, role, and how many keys each has. Owners only.

        Raises:
            PermissionDeniedError: only owners see them.
        """
        from p2pgrid.client.tables import table  # noqa: PLC0415 pandas is heavy

        accounts = self.list()
        keys = Counter(account.name for account in accounts)
        roles = {account.name: account.role for account in accounts}
        rows = [{"name": name, "role": roles[name], "keys": keys[name]} for name in roles]
        return table(rows, ("name", "role", "keys"), index="name")

    def remove(self, name: str) -> None:
        """Removes an account, its keys and its password; what it does at the moment ends.

        Data that it took home stays there. Datasets go on to name it in their permissions: nobody
        can sign up by this name then, but an owner may add it again. Owners only.

        Raises:
            PermissionDeniedError: only owners remove accounts, and never the last owner's.
            SchemaError: no account has this name.
        """
        self._domain.login()
        ask(self._domain.link(), RemoveAccount(name), Done)

    def list(self) -> UserList:
        """All accounts by name, once for each of their keys. Owners only.

        Raises:
            PermissionDeniedError: only owners see them.
        """
        self._domain.login()
        return UserList(ask(self._domain.link(), ListAccounts(), Accounts).accounts)


def key_bytes(text: str) -> bytes:
    """The public key that a text is.

    Raises:
        SchemaError: it is none.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise SchemaError(field="public_key", problem="expected 64 hexadecimal characters")
    return key
