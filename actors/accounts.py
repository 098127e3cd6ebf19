"""Accounts of a domain: a name, a role, and public keys; each name and each key once.

The first key came with the account; further ones were added by its password.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from actors.journal import Journal
from actors.ports import Credential
from p2pgrid.errors import DuplicateError, TooLargeError
from p2pgrid.protocol.messages import Account, Role

MAX_KEYS = 64
"""Of one account."""
MAX_ACCOUNTS = 10_000
"""That people may have made for themselves."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    role TEXT NOT NULL CHECK (role IN ('scientist', 'owner'))
) STRICT;
CREATE TABLE IF NOT EXISTS further_keys (
    public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE
) STRICT;
CREATE TABLE IF NOT EXISTS passwords (
    account TEXT PRIMARY KEY REFERENCES accounts (name) ON DELETE CASCADE,
    user_id BLOB NOT NULL UNIQUE CHECK (length(user_id) = 16),
    hash TEXT NOT NULL
) STRICT;
"""
ALL = """
SELECT name, public_key, role, 0 AS number FROM accounts
UNION ALL
SELECT name, further_keys.public_key, role, further_keys.rowid
FROM further_keys JOIN accounts ON name = account
ORDER BY name, number
"""
KNOWN = """
SELECT public_key FROM accounts WHERE public_key = :key
UNION ALL SELECT public_key FROM further_keys WHERE public_key = :key
"""


class Accounts:
    """Who may log in."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def all(self) -> tuple[Account, ...]:
        """All accounts by name, once for each of their keys, the first key first."""
        return tuple(_account(*row) for row in self._journal.rows(ALL))

    def owners(self) -> tuple[Account, ...]:
        """The accounts that may do everything."""
        return tuple(account for account in self.all() if account.role == "owner")

    def enrol(self, account: Account) -> None:
        """Adds an account; the same again changes nothing.

        Raises:
            DuplicateError: the name or the key belongs to another account.
        """
        if account not in self.all():
            with self._adding(account) as connection:
                _insert(connection, account)

    def sign_up(self, account: Account, credential: Credential) -> None:
        """Adds an account with a password; the same again changes nothing.

        Raises:
            DuplicateError: the name or the key belongs to another account.
            TooLargeError: there are as many such accounts as there may be.
        """
        if self.credential(account.name) == credential:
            return
        ((count,),) = self._journal.rows("SELECT count(*) FROM passwords")
        if count >= MAX_ACCOUNTS:
            raise TooLargeError(what="number of accounts", size=count + 1, limit=MAX_ACCOUNTS)
        with self._adding(account) as connection:
            _insert(connection, account)
            connection.execute(
                "INSERT INTO passwords (account, user_id, hash) VALUES (?, ?, ?)",
                (account.name, credential.user_id, credential.hashed),
            )

    def credential(self, name: str) -> Credential | None:
        """What belongs to the password of an account; None: it has none, or does not exist."""
        rows = self._journal.rows("SELECT user_id, hash FROM passwords WHERE account = ?", name)
        return Credential(*rows[0]) if rows else None

    def add_key(self, account: Account) -> None:
        """Adds a key to an account; the same again changes nothing.

        Raises:
            DuplicateError: the key belongs to another account, or there is no such account.
            TooLargeError: it has as many keys as it may have.
        """
        known = self.all()
        if account in known:
            return
        if (count := sum(it.name == account.name for it in known)) >= MAX_KEYS:
            raise TooLargeError(
                what="number of keys of the account", size=count + 1, limit=MAX_KEYS
            )
        with self._adding(account) as connection:
            connection.execute(
                "INSERT INTO further_keys (public_key, account) VALUES (?, ?)",
                (account.public_key, account.name),
            )

    def remove(self, name: str) -> None:
        """Removes an account with its keys and its password; twice is as once."""
        with self._journal.transaction() as connection:
            connection.execute("DELETE FROM accounts WHERE name = ?", (name,))

    @contextmanager
    def _adding(self, account: Account) -> Iterator[sqlite3.Connection]:
        """A transaction that adds a key."""
        taken = DuplicateError(what="account or key of", name=account.name)
        with self._journal.transaction() as connection:
            if connection.execute(KNOWN, {"key": account.public_key}).fetchone():
                raise taken
            try:
                yield connection
            except sqlite3.IntegrityError:
                raise taken from None


def _insert(connection: sqlite3.Connection, account: Account) -> None:
    connection.execute(
        "INSERT INTO accounts (name, public_key, role) VALUES (?, ?, ?)",
        (account.name, account.public_key, account.role),
    )


def _account(name: str, public_key: bytes, role: Role, _: int) -> Account:
    return Account(name=name, public_key=public_key, role=role)
