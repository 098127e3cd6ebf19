"""The capabilities of a domain: made at logins, verified, taken back; which ones are in use.

What was verified once is remembered by its bytes; time and revocation are looked at at every use.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Container
from types import TracebackType
from typing import Self

from actors.ports import Revocation, StatePort
from p2pgrid.errors import CapabilityError
from p2pgrid.ids import PeerId
from p2pgrid.policy.leases import name_of
from p2pgrid.protocol.capability import encode, mint
from p2pgrid.protocol.grants import GRANT_NONCE_BYTES
from p2pgrid.protocol.messages import Account
from p2pgrid.protocol.rights import Rights, verify
from p2pgrid.protocol.secret import Secret

LIFETIME_S = 86_400
"""No capability lives longer than a day, so no revocation has to be kept for longer."""
REMEMBERED = 1024


class Granted:
    """A capability in use. Leaving the context forgets it; ``end`` ends what runs by it.

    Whoever begins long work for it says with ``on_end`` how to end that.
    """

    def __init__(
        self,
        rights: Rights,
        revoked: Container[bytes],
        *,
        now: Callable[[], float],
        forget: Callable[["Granted"], None],
    ) -> None:
        self.rights = rights
        self._revoked, self._now, self._forget = revoked, now, forget
        self._ends: dict[object, Callable[[], object]] = {}
        self.over: CapabilityError | None = None
        """Why it has ended."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(rights.expires - now(), self.end, "expired")

    @property
    def via(self) -> str:
        """The beginning of the key that uses it, and the id of its last link."""
        return f"{self.rights.audience[:8].hex()}/{self.rights.ids[-1].hex()}"

    @property
    def name(self) -> str:
        """Who acts, for logs and the audit."""
        return name_of(self.rights.account, self.via)

    def require_live(self) -> None:
        """Refuses what is over.

        Raises:
            CapabilityError: "expired" or "revoked".
        """
        if self.over is not None:
            raise self.over
        self.rights.require_live(now=self._now(), revoked=self._revoked)

    def on_end(self, callback: Callable[[], object]) -> Callable[[], object]:
        """Has ``callback`` called when the capability ends; what is returned takes that back.

        At once, when it has ended already.
        """
        if self.over is not None:
            callback()
        key = object()
        self._ends[key] = callback
        return lambda: self._ends.pop(key, None)

    def end(self, reason: str) -> None:
        """Ends all work by it; to be called in the gateway's loop."""
        self.over = CapabilityError(reason=reason, domain=self.rights.domain)
        ends, self._ends = tuple(self._ends.values()), {}
        for callback in ends:
            callback()

    def close(self) -> None:
        """Forgets it: it is not in use any more."""
        self._timer.cancel()
        self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Capabilities:
    """All that a domain knows of capabilities; to be used in the gateway's loop."""

    def __init__(
        self,
        seed: bytes,
        *,
        domain: PeerId,
        state: StatePort,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._seed, self._domain = Secret(seed), domain
        self._state, self._now = state, now
        self._revoked: dict[bytes, int] = {}
        self._verified: dict[bytes, Rights] = {}
        self._in_use: set[Granted] = set()

    async def load(self) -> None:
        """Reads what was taken back; to be called before the first request."""
        self._revoked = {each.link: each.expires for each in await self._state.revocations()}

    def mint(self, account: Account) -> bytes:
        """A capability for all that the account may do, for its key, for a day."""
        capability = mint(
            self._seed,
            domain=self._domain,
            account=account.name,
            audience=account.public_key,
            objects=None,
            operations=None,
            expires=int(self._now()) + LIFETIME_S,
            nonce=secrets.token_bytes(GRANT_NONCE_BYTES),
        )
        return encode(capability)

    def admit(self, encoded: bytes, key: bytes) -> Granted:
        """The capability of somebody who proved to hold ``key``; ``close`` it after its use.

        Raises:
            CapabilityError: it is not good, or it is for another key.
        """
        rights = self._rights_of(encoded)
        if rights.audience != key:
            raise CapabilityError(reason="audience", domain=self._domain)
        granted = Granted(rights, self._revoked, now=self._now, forget=self._in_use.discard)
        self._in_use.add(granted)
        return granted

    def signed_by(self, link: bytes, encoded: bytes, keys: Container[bytes]) -> bool:
        """True when one of the keys signed this link of the capability.

        Raises:
            CapabilityError: it is not good, unless it is revoked already.
        """
        rights = verify(encoded, domain=self._domain, now=self._now())
        links = zip(rights.ids, rights.signers, strict=True)
        return any(each == link and signer in keys for each, signer in links)

    async def revoke(self, link: bytes, account: str) -> None:
        """Takes a link back, for good: what runs by it ends, also when we restart.

        Raises:
            QuotaExceededError: too much was taken back by this account.
        """
        now = int(self._now())
        expires = now + LIFETIME_S
        await self._state.revoke(Revocation(link, account, expires), now=now)
        for old in [each for each, ends in self._revoked.items() if ends <= now]:
            del self._revoked[old]
        self._revoked[link] = expires
        for granted in [each for each in self._in_use if link in each.rights.ids]:
            granted.end("revoked")

    def _rights_of(self, encoded: bytes) -> Rights:
        now = self._now()
        rights = self._verified.get(encoded)
        if rights is None:
            rights = verify(encoded, domain=self._domain, now=now, revoked=self._revoked)
            self._verified[encoded] = rights
            if len(self._verified) > REMEMBERED:
                del self._verified[next(iter(self._verified))]
        rights.require_live(now=now, revoked=self._revoked)
        return rights
