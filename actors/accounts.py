"""Accounts of a domain: a name, a public key, a role; each name and each key once."""

import sqlite3

from actors.journal import Journal
from p2pgrid.errors import DuplicateError
from p2pgrid.protocol.messages import Account, Role

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 32),
    role TEXT NOT NULL CHECK (role IN ('scientist', 'owner'))
) STRICT;
"""


class Accounts:
    """Who may log in."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def all(self) -> tuple[Account, ...]:
        """All accounts, by name."""
        rows = self._journal.rows("SELECT name, public_key, role FROM accounts ORDER BY name")
        return tuple(_account(*row) for row in rows)

    def enrol(self, account: Account) -> None:
        """Adds an account; the same again changes nothing.

        Raises:
            DuplicateError: the name or the key belongs to another account.
        """
        if account in self.all():
            return
        try:
            with self._journal.transaction() as connection:
                connection.execute(
                    "INSERT INTO accounts (name, public_key, role) VALUES (?, ?, ?)",
                    (account.name, account.public_key, account.role),
                )
        except sqlite3.IntegrityError:
            raise DuplicateError(what="account or key of", name=account.name) from None


def _account(name: str, public_key: bytes, role: Role) -> Account:
    return Account(name=name, public_key=public_key, role=role)
