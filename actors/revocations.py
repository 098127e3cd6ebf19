"""Links of capabilities that were taken back, until they would have expired anyway."""

from actors.journal import Journal
from actors.ports import Revocation
from p2pgrid.errors import QuotaExceededError

SCHEMA = """
CREATE TABLE IF NOT EXISTS revocations (
    link BLOB PRIMARY KEY CHECK (length(link) = 16),
    account TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
"""
MOST_OF_ACCOUNT = 10_000
"""So that nobody fills the disk by making links and taking them back."""


class Revocations:
    """What ``verify`` refuses, whatever its signatures say."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def all(self) -> tuple[Revocation, ...]:
        """All revocations, those that expire first first."""
        rows = self._journal.rows("SELECT link, account, expires FROM revocations ORDER BY expires")
        return tuple(Revocation(*row) for row in rows)

    def add(self, revocation: Revocation, *, now: int) -> None:
        """Adds one, and forgets those that have expired; the same again changes nothing.

        Raises:
            QuotaExceededError: too many links of capabilities of this account are revoked.
        """
        with self._journal.transaction() as connection:
            connection.execute("DELETE FROM revocations WHERE expires <= ?", (now,))
            (count,) = connection.execute(
                "SELECT count(*) FROM revocations WHERE account = ? AND link != ?",
                (revocation.account, revocation.link),
            ).fetchone()
            if count >= MOST_OF_ACCOUNT:
                raise QuotaExceededError(
                    what="revocations", needed=count + 1, limit=MOST_OF_ACCOUNT
                )
            connection.execute(
                "INSERT INTO revocations VALUES (?, ?, ?) "
                "ON CONFLICT (link) DO UPDATE SET expires = max(expires, excluded.expires)",
                revocation,
            )
