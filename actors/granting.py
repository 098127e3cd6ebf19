"""How a domain takes capabilities back; it gives them with every login, in the gateway."""

from actors.capabilities import Capabilities
from actors.gateway import Answer, LinkSession, require_account
from actors.ports import AuditEvent, StatePort
from p2pgrid.errors import PermissionDeniedError
from p2pgrid.ids import short
from p2pgrid.protocol.messages import Done, Revoke


class Granting:
    """The revocations of a domain; durable, and in effect, when they are answered."""

    def __init__(self, *, domain: str, state: StatePort, capabilities: Capabilities) -> None:
        self._domain, self._state, self._capabilities = domain, state, capabilities

    async def revoke(self, session: LinkSession, message: Revoke, _: object) -> Answer:
        """Takes a link back: any for owners, for others those that their keys signed."""
        account = require_account(session, "", action="revoking", domain=self._domain)
        is_owner = account.role == "owner" and session.granted is None
        if not is_owner and not self._is_signer(session, message):
            raise PermissionDeniedError(
                action="revoking what another key gave", domain=self._domain
            )
        await self._capabilities.revoke(message.link, account.name)
        who = session.acting(account)
        await self._state.audit(AuditEvent(who, "revoke", short(message.link), "done"))
        return Answer(Done())

    def _is_signer(self, session: LinkSession, message: Revoke) -> bool:
        return bool(message.capability) and self._capabilities.signed_by(
            message.link, message.capability, session.keys
        )
