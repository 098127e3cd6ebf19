"""Who we are on the link to one domain; a new link goes on with the session of the one before."""

import threading
import time
from collections.abc import Callable

from p2pgrid.client.batch import Names
from p2pgrid.client.session import Later, Session, Soon
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import Timing
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask, begin
from p2pgrid.net.link import Link
from p2pgrid.protocol.messages import Login, Session as LoggedIn


class Logins:
    """The logins of one link at a time; a new link begins with the same first user."""

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
    ) -> None:
        self._domain, self._wallet = domain, wallet
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

    def account_of(self, user: str | None) -> str:
        """The account for which a user of the wallet is logged in; logs in when need be."""
        with self._lock:
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
        key = self._wallet.key_for(self._domain, user)
        signed = key.sign_login(peer=self._own_id, nonce=self._nonce, now=time.time())
        message = Login(statement=signed.statement, signature=signed.signature)
        answer = ask(link, message, LoggedIn)
        self._first_user = self._first_user or key.user
        self._accounts[key.user] = answer.account
        return answer
