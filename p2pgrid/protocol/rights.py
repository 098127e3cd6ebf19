"""What a capability allows, once its signatures, its time and its revocation were looked at."""

from collections.abc import Container
from typing import NamedTuple

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from p2pgrid.errors import CapabilityError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.capability import Capability, decode
from p2pgrid.protocol.grants import Scope


class Rights(NamedTuple):
    """What a verified capability allows; expiry and revocation are looked at at every use."""

    domain: PeerId
    account: str
    """Whose rights it draws on."""
    audience: bytes
    """The key that may use it."""
    signers: tuple[bytes, ...]
    """The key that signed each link."""
    ids: tuple[bytes, ...]
    scope: Scope

    @property
    def first_key(self) -> bytes:
        """The key for which the domain made it: one of the account's, at that time."""
        return (*self.signers, self.audience)[1]

    @property
    def expires(self) -> int:
        """Unix seconds, no longer included."""
        return self.scope.expires

    def allows(self, object_id: bytes, operation: str) -> bool:
        """True when the operation on this object is within the rights."""
        return self.scope.allows(object_id, operation)

    def may_move(self, object_id: bytes, to: bytes) -> bool:
        """True when the object may move to the domain of the public key ``to``."""
        return self.scope.allows(object_id, "move") and self.scope.allows_to(to)

    def require_live(self, *, now: float, revoked: Container[bytes]) -> None:
        """Refuses what is over.

        Raises:
            CapabilityError: expired or revoked.
        """
        if not now < self.expires:
            raise CapabilityError(reason="expired", domain=self.domain)
        if any(link in revoked for link in self.ids):
            raise CapabilityError(reason="revoked", domain=self.domain)


def verify(encoded: bytes, *, domain: PeerId, now: float, revoked: Container[bytes] = ()) -> Rights:
    """What these bytes allow on ``domain``; the caller compares ``audience`` with a proven key.

    Args:
        encoded: what came.
        domain: our own peer id; its key signed the first link.
        now: Unix seconds.
        revoked: ids of links that were taken back.

    Raises:
        CapabilityError: with the first of the reasons that holds; see ``CAPABILITY_REASONS``.
    """
    capability = decode(encoded)
    if capability.domain != domain:
        raise CapabilityError(reason="another domain", domain=domain)
    rights = Rights(
        domain=domain,
        account=capability.grants[0].account,
        audience=capability.audience,
        signers=capability.signers,
        ids=capability.ids,
        scope=capability.scope,
    )
    rights.require_live(now=now, revoked=revoked)
    _check_signatures(capability, rights.signers)
    return rights


def _check_signatures(capability: Capability, signers: tuple[bytes, ...]) -> None:
    for link, signed, signer in zip(capability.links, capability.signed, signers, strict=True):
        try:
            VerifyKey(signer).verify(signed, link.signature)
        except BadSignatureError:
            raise CapabilityError(reason="forged", domain=capability.domain) from None
