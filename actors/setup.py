"""The setup token: whoever has it becomes the first owner of a domain that has none.

It is made at a start, told once, kept as a hash, and good once, for a day.
"""

import hashlib
import hmac
import secrets

from actors.accounts import Accounts
from actors.journal import Journal
from p2pgrid.errors import SetupTokenError
from p2pgrid.protocol.messages import Account

TOKEN_BYTES = 16
LIFETIME_S = 86_400
SCHEMA = """
CREATE TABLE IF NOT EXISTS setup (
    one INTEGER PRIMARY KEY CHECK (one = 1), digest BLOB NOT NULL, expires INTEGER NOT NULL
) STRICT;
"""


class Setup:
    """The one token of a domain."""

    def __init__(self, journal: Journal, accounts: Accounts) -> None:
        self._journal, self._accounts = journal, accounts

    def begin(self, *, now: int) -> str:
        """A new token, as text, in place of any before; empty when the domain has an owner."""
        if self._accounts.owners():
            return ""
        token = secrets.token_bytes(TOKEN_BYTES)
        with self._journal.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO setup VALUES (1, ?, ?)", (_digest(token), now + LIFETIME_S)
            )
        return token.hex()

    def claim(self, token: bytes, owner: Account, *, domain: str, now: int) -> None:
        """Makes the first owner; the same again changes nothing.

        Raises:
            SetupTokenError: the token is not the one, or is over; or there is an owner.
            DuplicateError: the name or the key belongs to another account.
        """
        owners = self._accounts.owners()
        if owners == (owner,):
            return
        rows = self._journal.rows("SELECT digest FROM setup WHERE expires > ?", now)
        if owners or not any(hmac.compare_digest(_digest(token), digest) for (digest,) in rows):
            raise SetupTokenError(domain=domain)
        self._accounts.enrol(owner)
        self.end()

    def end(self) -> None:
        """Makes the token worthless."""
        with self._journal.transaction() as connection:
            connection.execute("DELETE FROM setup")


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
