"""The gateway: the only process of a node that talks to the network.

Requests come in on the network thread and are answered on the gateway's asyncio loop, those of one
link in the order in which they came. This is the border for errors, too: what a peer may read is
chosen by ``protocol.faults``; anything unforeseen becomes a random reference, and its text stays
in the owner's log.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from actors.capabilities import Granted
from actors.logs import current_request
from actors.loop import end_tasks
from actors.meter import Load, Meter
from p2pgrid.errors import (
    AuthenticationError,
    CapabilityError,
    InternalError,
    P2PGridError,
    PermissionDeniedError,
    RemoteProtocolError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Inbound, Link
from p2pgrid.policy.leases import Lease, Owner
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import (
    WIRE_VERSION,
    Account,
    Begin,
    Challenge,
    Login,
    Message,
    Role,
    Session,
    label_of,
)
from p2pgrid.protocol.statements import SignedLogin, check_login

log = logging.getLogger(__name__)


class LinkSession:
    """What the node knows of one link: its nonce, who logged in, which session it holds."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.nonce = secrets.token_bytes(16)
        link.label = label_of(self.nonce)
        self.accounts: dict[str, Account] = {}
        self.lease: Lease | None = None
        self.granted: Granted | None = None
        """The capability by which somebody logged in, if that is how."""

    @property
    def keys(self) -> frozenset[bytes]:
        """The public keys that were proved on the link."""
        if self.granted is not None:
            return frozenset({self.granted.rights.audience})
        return frozenset(account.public_key for account in self.accounts.values())

    def acting(self, account: Account) -> str:
        """Who uses the account here, for logs and the audit."""
        return account.name if self.granted is None else self.granted.name

    @property
    def objects(self) -> SessionObjects | None:
        """The objects of its session; None before a login, and when a newer link took over."""
        lease = self.lease
        return lease.objects if lease is not None and lease.holder is self else None

    @property
    def account(self) -> Account | None:
        """The first account that logged in; None for a guest."""
        return next(iter(self.accounts.values()), None)


class Answer(NamedTuple):
    """A message and its arrays."""

    message: Message
    buffers: Sequence[Buffer] = ()


Handler = Callable[[LinkSession, Any, Sequence[memoryview]], Awaitable[Answer]]


class Service(Protocol):
    """What a kind of node answers: a domain or a network."""

    kind: str
    name: str
    handlers: Mapping[type[Message], Handler]
    by_capability: frozenset[type[Message]]
    """What a login by a capability may ask; each handler looks at the rights."""

    def account_of(self, public_key: bytes) -> Account | None:
        """The account that this key is enrolled for."""

    def mint(self, account: Account) -> bytes:
        """A capability for what the account may do.

        Raises:
            AuthenticationError: nobody logs in on nodes of this kind.
        """

    def admit(self, capability: bytes, key: bytes) -> Granted:
        """The rights of whoever shows a capability and has proved to hold this key.

        Raises:
            CapabilityError: it is not good, or for another key.
            AuthenticationError: nobody logs in on nodes of this kind.
        """

    def claim(self, owner: Owner, holder: LinkSession) -> Lease:
        """The session that the owner comes back to, or a new one.

        Raises:
            AuthenticationError: nobody logs in on nodes of this kind.
        """

    def release(self, lease: Lease, holder: LinkSession) -> None:
        """Notes that the link of a session has ended."""

    async def end(self, lease: Lease) -> None:
        """Ends a session at once, with its objects and transfers."""

    def held(self) -> Load:
        """What the node holds at this moment."""

    def own_record(self) -> bytes:
        """The node's signed record."""


class Gateway:
    """Sessions, logins and dispatch of one node."""

    def __init__(
        self,
        service: Service,
        *,
        peer_id: PeerId,
        loop: asyncio.AbstractEventLoop,
        handlers: Mapping[type[Message], Handler] = MappingProxyType({}),
    ) -> None:
        self._service = service
        self._peer_id = peer_id
        self._loop = loop
        self._sessions: dict[Link, LinkSession] = {}
        self.meter = Meter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[type[Message], Handler] = {
            Begin: self._begin,
            Login: self._login,
            **service.handlers,
            **handlers,
        }

    def on_request(self, inbound: Inbound) -> None:
        """Takes a request, in the network thread."""
        self._loop.call_soon_threadsafe(self._start, inbound)

    def on_over(self, link: Link) -> None:
        """Takes the end of a link, in the network thread."""
        self._loop.call_soon_threadsafe(self._forget, link)

    async def close(self) -> None:
        """Ends what is under way; to be called when all links are over."""
        await end_tasks(self._tasks)

    def _start(self, inbound: Inbound) -> None:
        if inbound.link.is_open:
            session = self._sessions.get(inbound.link)
            if session is None:
                session = self._sessions[inbound.link] = LinkSession(inbound.link)
            task = self._spawn(self._answer(session, inbound))
            if session.granted is not None:
                end = partial(self._break_off, task, session.granted, inbound)
                done = session.granted.on_end(end)
                task.add_done_callback(lambda _: done())

    def _forget(self, link: Link) -> None:
        session = self._sessions.pop(link, None)
        if session is not None and session.lease is not None:
            self._service.release(session.lease, session)
        if session is not None and session.granted is not None:
            session.granted.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _break_off(self, task: "asyncio.Task[None]", granted: Granted, inbound: Inbound) -> None:
        """Ends a request because the capability behind it has ended, and says so."""
        if granted.over is not None:
            inbound.answer(self._refusal(granted.over).message)
        task.cancel()

    async def _answer(self, session: LinkSession, inbound: Inbound) -> None:
        if not inbound.link.is_open:  # a session claimed now would never be released
            return
        current_request.set(inbound.link.request_id(inbound.number))  # of this task
        kind, began = type(inbound.message).__name__, self.meter.begin()
        outcome = "cancelled"
        try:
            outcome = await self._work_on(session, inbound)
        finally:
            seconds = self.meter.end(kind, outcome, began=began)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request", extra={"kind": kind, "outcome": outcome, "ms": seconds * 1e3})

    async def _work_on(self, session: LinkSession, inbound: Inbound) -> str:
        """Answers a request; how that ended, in a word."""
        try:
            answer = await self._handle(session, inbound)
            inbound.answer(answer.message, answer.buffers)
        except RemoteProtocolError as error:
            log.warning("peer broke the protocol", extra={"peer": inbound.link.peer})
            inbound.link.close_soon(str(error))
            return "hung up"
        except Exception as error:  # noqa: BLE001 the border: a mistake of ours must not show
            inbound.answer(self._refusal(error).message)
            return "refused" if faults.is_public(error) else "failed"
        return "done"

    async def _handle(self, session: LinkSession, inbound: Inbound) -> Answer:
        handler = self._handlers.get(type(inbound.message))
        if handler is None:
            raise RemoteProtocolError(f"a {self._service.kind} does not answer this message")
        if session.granted is not None:
            self._require_granted(session, session.granted, type(inbound.message))
        else:
            self._require_enrolled(session)
        return await handler(session, inbound.message, inbound.buffers)

    def _require_granted(self, session: LinkSession, granted: Granted, kind: type[Message]) -> None:
        """Looks at a capability again; the account's rights are those that it has now."""
        granted.require_live()
        if kind not in self._service.by_capability:
            raise CapabilityError(reason="scope", domain=self._peer_id)
        session.accounts = {granted.name: self._account_behind(granted)}

    def _require_enrolled(self, session: LinkSession) -> None:
        """Ends a link when an account that logged in there was removed since."""
        for account in session.accounts.values():
            if self._service.account_of(account.public_key) != account:
                raise RemoteProtocolError("an account of this link was removed")

    def _account_behind(self, granted: Granted) -> Account:
        """The account, as long as it has the key for which the capability was made."""
        account = self._service.account_of(granted.rights.first_key)
        if account is None or account.name != granted.rights.account:
            raise CapabilityError(reason="account", domain=self._peer_id)
        return account

    @staticmethod
    def _refusal(error: Exception) -> Answer:
        if isinstance(error, P2PGridError) and faults.is_public(error):
            return Answer(faults.failure_of(error))
        own = error.reference if isinstance(error, InternalError) else None
        reference = own or secrets.token_hex(4)
        log.error("request failed", exc_info=error, extra={"reference": reference})
        return Answer(faults.internal(reference))

    async def _begin(self, session: LinkSession, message: Begin, _: object) -> Answer:
        if message.version != WIRE_VERSION:
            raise RemoteProtocolError(f"the peer speaks version {message.version} of the wire")
        return Answer(
            Challenge(
                kind="domain" if self._service.kind == "domain" else "network",
                name=self._service.name,
                nonce=session.nonce,
                record=self._service.own_record(),
                now=time.time(),
            )
        )

    async def _login(self, session: LinkSession, message: Login, _: object) -> Answer:
        signed = SignedLogin(message.statement, message.signature)
        public_key = proved_key(session, signed, domain=self._peer_id)
        if message.capability:
            return self._login_by_capability(session, message.capability, public_key)
        account = self._service.account_of(public_key)
        if account is None or account.name in session.accounts:
            raise AuthenticationError(domain=self._peer_id)
        session.accounts[account.name] = account
        if session.lease is None:
            owner = Owner(session.link.peer, account.name)
            session.lease = self._service.claim(owner, session)
        capability = self._service.mint(account)
        return self._logged_in(session, session.lease, account.name, account.role, capability)

    def _login_by_capability(
        self, session: LinkSession, capability: bytes, public_key: bytes
    ) -> Answer:
        """Nobody but the holder of this capability uses the link from here on."""
        if session.accounts:
            raise RemoteProtocolError("a link is for accounts, or for one capability")
        granted = self._service.admit(capability, public_key)
        session.granted = granted
        session.accounts = {granted.name: self._account_behind(granted)}
        owner = Owner(session.link.peer, granted.rights.account, granted.via)
        session.lease = lease = self._service.claim(owner, session)
        granted.on_end(lambda: self._spawn(self._service.end(lease)))
        return self._logged_in(session, lease, granted.name, "scientist", b"")

    @staticmethod
    def _logged_in(
        session: LinkSession, lease: Lease, name: str, role: Role, capability: bytes
    ) -> Answer:
        session.link.trust()
        log.info("login", extra={"account": name})
        objects = lease.objects
        return Answer(Session(name, role, objects.prefix, objects.last, capability))


def proved_key(session: LinkSession, signed: SignedLogin, *, domain: PeerId) -> bytes:
    """The key whose login statement for this link came; whose it is, is for the caller.

    Raises:
        AuthenticationError: anything at all is wrong with it.
    """
    return check_login(
        signed,
        audience=domain,
        peer=session.link.peer,
        nonce=session.nonce,
        now=time.time(),
    )


def require_account(session: LinkSession, name: str, *, action: str, domain: str) -> Account:
    """The account of this name that logged in on the link; the first one for an empty name.

    Raises:
        PermissionDeniedError: nobody of this name logged in here.
    """
    account = session.accounts.get(name) if name else session.account
    if account is None:
        raise PermissionDeniedError(action=action, domain=domain)
    return account


def require_objects(session: LinkSession) -> SessionObjects:
    """The objects of whoever logged in on the link.

    Raises:
        RemoteProtocolError: nobody did, or a newer link has the session.
    """
    if session.objects is None:
        raise RemoteProtocolError("objects are for those who logged in")
    return session.objects
