"""Accounts of a domain: what its owners do with them, and how the first owner comes in."""

import time

from actors.gateway import Answer, LinkSession, proved_key
from actors.members import Members
from actors.ports import AuditEvent, StatePort
from p2pgrid.errors import PermissionDeniedError, SchemaError
from p2pgrid.ids import PeerId
from p2pgrid.policy.access import require_owner
from p2pgrid.protocol.messages import (
    Account,
    Accounts,
    Claim,
    Done,
    Enrol,
    ListAccounts,
    RemoveAccount,
)
from p2pgrid.protocol.statements import SignedLogin


class Enrolling:
    """Durable, and in effect, when it is answered."""

    def __init__(self, *, domain: str, peer_id: PeerId, state: StatePort, members: Members) -> None:
        self._domain, self._peer_id = domain, peer_id
        self._state, self._members = state, members

    async def enrol(self, session: LinkSession, message: Enrol, _: object) -> Answer:
        """Gives a public key an account."""
        owner = require_owner(session.account, action="enrolling users", domain=self._domain)
        account = Account(name=message.name, public_key=message.public_key, role=message.role)
        await self._state.enrol(account)
        self._members.know(account)
        await self._state.audit(AuditEvent(owner.name, "enrol", account.name, "done"))
        return Answer(Done())

    async def list_accounts(self, session: LinkSession, _: ListAccounts, __: object) -> Answer:
        """All accounts."""
        require_owner(session.account, action="listing users", domain=self._domain)
        return Answer(Accounts(self._members.all()))

    async def remove(self, session: LinkSession, message: RemoveAccount, _: object) -> Answer:
        """Removes an account; links on which it logged in end with their next request."""
        owner = require_owner(session.account, action="removing users", domain=self._domain)
        names = {account.name for account in self._members.all()}
        if message.name not in names:
            raise SchemaError(field="name", problem="no account has it")
        owners = {account.name for account in self._members.all() if account.role == "owner"}
        if owners == {message.name}:
            raise PermissionDeniedError(action="removing the last owner", domain=self._domain)
        async with self._members.changing:
            await self._state.remove_account(message.name)
            self._members.forget(message.name)
        await self._state.audit(AuditEvent(owner.name, "remove account", message.name, "done"))
        return Answer(Done())

    async def claim(self, session: LinkSession, message: Claim, _: object) -> Answer:
        """Makes whoever has the setup token the first owner."""
        signed = SignedLogin(message.statement, message.signature)
        key = proved_key(session, signed, domain=self._peer_id)
        owner = await self._state.claim(
            message.token, key, domain=self._domain, now=int(time.time())
        )
        self._members.know(owner)
        await self._state.audit(AuditEvent(owner.name, "claim", key.hex()[:8], "done"))
        return Answer(Done())
