"""Who we are on the link to one domain; a new link goes on with the session of the one before."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from p2pgrid.client.batch import Names
from p2pgrid.client.session import Later, Session, Soon
from p2pgrid.client.wallet import Wallet, WalletKey
from p2pgrid.config import Timing
from p2pgrid.errors import RemoteProtocolError
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask, begin
from p2pgrid.net.link import Link
from p2pgrid.protocol.capability import Capability, decode, encode
from p2pgrid.protocol.messages import Login, Session as LoggedIn


class Held(NamedTuple):
    """A capability, and the key of the wallet for which it is."""

    capability: Capability
    key: WalletKey


class Logins:
    """The logins of one link at a time; a new link begins with the same first user.

    With ``shown``, a capability that somebody gave us, all of them are by that one.
    """

    def __init__(
        self,
        domain: PeerId,
        wallet: Wallet,
        *,
        link: Callable[[], Link],
        own_id: PeerId,
        soon: Soon,
        later: Later,
        timing: Timing,
        shown: Held | None = None,
    ) -> None:
        self._domain, self._wallet = domain, wallet
        self._shown = self._held = shown
        self._link, self._own_id = link, own_id
        self._soon, self._later, self._timing = soon, later, timing
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._nonce = b""
        self._accounts: dict[str, str] = {}
        self._first_user: str | None = None

    def session(self) -> Session:
        """The session on the open link; dials and logs in when there is none.

        Raises:
            NoKeyError, AuthenticationError, DomainUnreachableError: see ``DomainClient.login``.
        """
        with self._lock:
            session = self._session
            if session is None or not session.link.is_open:
                session = self._open()
            return session

    def held(self) -> Held:
        """What we may give on: a capability for the first key; logs in when nobody has yet."""
        with self._lock:
            if self._held is None:
                self.session()
            if self._held is None:
                raise RemoteProtocolError("the domain gave no capability with the login")
            return self._held

    def account_of(self, user: str | None) -> str:
        """The account for which a user of the wallet is logged in; logs in when need be."""
        with self._lock:
            if self._shown is not None:
                user = self._shown.key.user
            if user is not None and self._first_user is None:
                self._first_user = user
            session = self.session()
            wanted = user or self._first_user
            if wanted not in self._accounts:
                self._log_in(session.link, wanted)
            return self._accounts[str(wanted)]

    def _open(self) -> Session:
        link = self._link()
        self._accounts = {}
        self._nonce = begin(link).nonce
        answer = self._log_in(link, self._first_user)
        self._session = Session(
            link, self._names(answer), soon=self._soon, later=self._later, timing=self._timing
        )
        return self._session

    def _names(self, answer: LoggedIn) -> Names:
        """Those of the session before, when the domain gives it back."""
        old = None if self._session is None else self._session.names
        if old is not None and old.prefix == answer.prefix:
            return old
        return Names(answer.prefix, last=answer.last)

    def _log_in(self, link: Link, user: str | None) -> LoggedIn:
        shown = self._shown
        key = self._wallet.key_for(self._domain, user) if shown is None else shown.key
        signed = key.sign_login(peer=self._own_id, nonce=self._nonce, now=time.time())
        capability = b"" if shown is None else encode(shown.capability)
        message = Login(signed.statement, signed.signature, capability)
        answer = ask(link, message, LoggedIn)
        self._first_user = self._first_user or key.user
        if answer.capability and key.user == self._first_user:
            self._held = Held(decode(answer.capability), key)
        self._accounts[key.user] = answer.account
        return answer
