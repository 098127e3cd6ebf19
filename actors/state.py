"""The durable state of a node: one SQLite file, one writer, so one order of events.

Every method is idempotent: repeating a call whose answer was lost changes nothing.
"""

from pathlib import Path

from actors import accounts, catalog, revocations, setup
from actors.accounts import Accounts
from actors.catalog import Catalog
from actors.journal import Journal
from actors.ports import AuditEvent, Credential, DatasetEntry, Revocation
from actors.revocations import Revocations
from actors.setup import Setup
from p2pgrid.protocol.messages import Account

OWNER = "owner"
SCHEMA = (
    accounts.SCHEMA
    + catalog.SCHEMA
    + revocations.SCHEMA
    + setup.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    account TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, outcome TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_is_append_only_1 BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_append_only_2 BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE IF NOT EXISTS sequence (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL)
STRICT;
"""
)


class State:
    """Accounts, catalog, revocations, audit log and record sequence of one node."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path, SCHEMA)
        self._accounts = Accounts(self._journal)
        catalog.convert(self._journal)
        self._catalog = Catalog(self._journal)
        self._revocations = Revocations(self._journal)
        self._setup = Setup(self._journal, self._accounts)

    def accounts(self) -> tuple[Account, ...]:
        """All accounts."""
        return self._accounts.all()

    def enrol(self, account: Account) -> None:
        """Adds an account; see ``Accounts.enrol``."""
        self._accounts.enrol(account)

    def sign_up(self, account: Account, credential: Credential) -> None:
        """Adds an account with a password; see ``Accounts.sign_up``."""
        self._accounts.sign_up(account, credential)

    def credential(self, name: str) -> Credential | None:
        """What belongs to a password; see ``Accounts.credential``."""
        return self._accounts.credential(name)

    def add_key(self, account: Account) -> None:
        """Adds a key to an account; see ``Accounts.add_key``."""
        self._accounts.add_key(account)

    def remove_account(self, name: str) -> None:
        """Removes an account; see ``Accounts.remove``."""
        self._accounts.remove(name)

    def enrol_owner(self, public_key: bytes | None) -> None:
        """Adds the first owner, when one was named and nobody owns the domain yet."""
        if public_key is not None and not self._accounts.owners():
            self._accounts.enrol(Account(name=OWNER, public_key=public_key, role="owner"))
            self._setup.end()

    def begin_setup(self, *, now: int) -> str:
        """A new setup token, when nobody owns the domain; see ``Setup.begin``."""
        return self._setup.begin(now=now)

    def claim(self, token: bytes, public_key: bytes, *, domain: str, now: int) -> Account:
        """The first owner, by the setup token; see ``Setup.claim``."""
        owner = Account(name=OWNER, public_key=public_key, role="owner")
        self._setup.claim(token, owner, domain=domain, now=now)
        return owner

    def datasets(self) -> tuple[DatasetEntry, ...]:
        """All datasets."""
        return self._catalog.all()

    def add_dataset(self, entry: DatasetEntry) -> None:
        """Lists a dataset; see ``Catalog.add``."""
        self._catalog.add(entry)

    def revocations(self) -> tuple[Revocation, ...]:
        """All links that were taken back."""
        return self._revocations.all()

    def revoke(self, revocation: Revocation, *, now: int) -> None:
        """Takes a link back; see ``Revocations.add``."""
        self._revocations.add(revocation, now=now)

    def audit(self, event: AuditEvent) -> None:
        """Appends to the audit log."""
        with self._journal.transaction() as connection:
            connection.execute(
                "INSERT INTO audit (account, action, target, outcome) VALUES (?, ?, ?, ?)", event
            )

    def audit_log(self) -> tuple[AuditEvent, ...]:
        """The whole audit log, oldest first."""
        rows = self._journal.rows(
            "SELECT account, action, target, outcome FROM audit ORDER BY number"
        )
        return tuple(AuditEvent(*map(str, row)) for row in rows)

    def next_sequence(self, *, now: int) -> int:
        """A number above all earlier ones and at least ``now``, even after a clock went back."""
        with self._journal.transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(last), 0) FROM sequence").fetchone()
            number = max(int(last) + 1, now)
            connection.execute("INSERT OR REPLACE INTO sequence VALUES (1, ?)", (number,))
        return number

    def close(self) -> None:
        """Closes the file."""
        self._journal.close()
