"""Accounts by password: people make them and give them the keys of their machines.

A password never opens a session. It enrols the key that the same message proves; the login by that
key comes next, as any other. So what is slow, and can be guessed, is rare.
"""

import secrets
import time
from collections.abc import Callable

from actors.gateway import Answer, LinkSession, proved_key
from actors.members import Members
from actors.passwords import Passwords
from actors.ports import AuditEvent, Credential, StatePort
from p2pgrid.errors import (
    AccountExistsError,
    AuthenticationError,
    DuplicateError,
    SchemaError,
    SignupClosedError,
    TooManyAttemptsError,
)
from p2pgrid.ids import PeerId
from p2pgrid.policy.attempts import Attempts
from p2pgrid.protocol.account_names import account_name
from p2pgrid.protocol.messages import Account, Enrolled, PasswordLogin, SignUp
from p2pgrid.protocol.secret import Secret
from p2pgrid.protocol.statements import SignedLogin

REMEMBERED = 4096
EVERYBODY = "everybody"


class SigningIn:
    """Sign-ups and logins by password; to be used on the gateway's event loop.

    An account bears 10 wrong passwords at once and then one a minute; a program 20, and then one
    in 30 s. A program makes 5 accounts at once, all together 100, and then one in 6 s.
    """

    def __init__(
        self,
        *,
        domain: str,
        peer_id: PeerId,
        state: StatePort,
        members: Members,
        is_open: bool,
        is_reserved: Callable[[str], bool],
    ) -> None:
        """``is_open``: people may sign up; ``is_reserved`` says which names are not for them."""
        self._domain, self._peer_id = domain, peer_id
        self._state, self._members = state, members
        self._is_open, self._is_reserved = is_open, is_reserved
        self._passwords = Passwords()
        self._by_account = Attempts(burst=10, every_s=60.0, remembered=REMEMBERED)
        self._by_peer = Attempts(burst=20, every_s=30.0, remembered=REMEMBERED)
        self._sign_ups_by_peer = Attempts(burst=5, every_s=60.0, remembered=REMEMBERED)
        self._sign_ups = Attempts(burst=100, every_s=6.0, remembered=1)

    def close(self) -> None:
        """Ends the threads that hash."""
        self._passwords.close()

    async def sign_up(self, session: LinkSession, message: SignUp, _: object) -> Answer:
        """Makes an account for whoever asks, if the owner lets people do so."""
        key = self._proved(session, message)
        if not self._is_open:
            raise SignupClosedError(domain=self._domain)
        if account_name(message.name) != message.name:
            raise SchemaError(field="name", problem="is not in its one form")
        self._take(self._sign_ups_by_peer, session.link.peer)
        self._take(self._sign_ups, EVERYBODY)
        taken = AccountExistsError(name=message.name, domain=self._domain)
        if self._members.named(message.name) or self._is_reserved(message.name):
            raise taken
        hashed = await self._passwords.hash(Secret(message.proof))
        account = Account(name=message.name, public_key=key, role="scientist")
        credential = Credential(secrets.token_bytes(16), hashed)
        try:
            await self._state.sign_up(account, credential)
        except DuplicateError:  # somebody was quicker
            raise taken from None
        return await self._enrolled(account, credential, "sign up")

    async def log_in(self, session: LinkSession, message: PasswordLogin, _: object) -> Answer:
        """Gives a key to the account whose password came; an unknown name costs the same work."""
        key = self._proved(session, message)
        peer = session.link.peer
        self._take(self._by_peer, peer)
        self._take(self._by_account, message.name)
        credential = await self._state.credential(message.name)
        hashed = None if credential is None else credential.hashed
        fits = await self._passwords.fits(Secret(message.proof), hashed)
        if credential is None or not fits:
            raise AuthenticationError(domain=self._peer_id)
        self._by_peer.give_back(peer)
        self._by_account.give_back(message.name)
        async with self._members.changing:
            return await self._add_key(message.name, key, credential)

    async def _add_key(self, name: str, key: bytes, credential: Credential) -> Answer:
        known = self._members.named(name)
        if not known:  # removed meanwhile
            raise AuthenticationError(domain=self._peer_id)
        account = Account(name=name, public_key=key, role=known[0].role)
        if account in known:
            return Answer(Enrolled(name, credential.user_id))
        await self._state.add_key(account)
        return await self._enrolled(account, credential, "add key")

    async def _enrolled(self, account: Account, credential: Credential, action: str) -> Answer:
        self._members.know(account)
        key = account.public_key.hex()[:8]
        await self._state.audit(AuditEvent(account.name, action, key, "done"))
        return Answer(Enrolled(account.name, credential.user_id))

    def _proved(self, session: LinkSession, message: SignUp | PasswordLogin) -> bytes:
        signed = SignedLogin(message.statement, message.signature)
        return proved_key(session, signed, domain=self._peer_id)

    def _take(self, attempts: Attempts, name: str) -> None:
        if wait_s := attempts.take(name, now=time.monotonic()):
            raise TooManyAttemptsError(domain=self._domain, wait_s=wait_s)
