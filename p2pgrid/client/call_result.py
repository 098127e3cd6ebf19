"""A handle to what a call of an actor's method returns, or will return."""

from collections.abc import Callable, Generator
from typing import Any

from typing_extensions import override

from p2pgrid.client.batch import Bundle
from p2pgrid.client.display import Display
from p2pgrid.client.handle import Called, Returned
from p2pgrid.client.home import Home
from p2pgrid.client.session import Session
from p2pgrid.client.taking import Gathering, fetched
from p2pgrid.errors import P2PGridError
from p2pgrid.ids import ObjectId, short


class ResultPointer(Returned):
    """The result of a call; it is there at once, the value is not.

    Give it to ``p2pgrid.get``, ``wait`` and ``cancel``, to other calls of actors of the same
    domain, or ``await`` it. The domain keeps the value until the pointer is gone.
    """

    __slots__ = ("_batch", "_domain", "_id", "_session", "actor", "call")

    def __init__(
        self,
        domain: Home,
        object_id: ObjectId,
        *,
        actor: Called,
        call: str,
        session: Session,
        batch: Bundle,
    ) -> None:
        self._domain, self._id = domain, object_id
        self._session, self._batch = session, batch
        self.actor: Any = actor
        """The actor that was called; it lives as long as its results."""
        self.call = call
        """The class and the method, such as ``Counter.incr``."""

    @property
    @override
    def error(self) -> P2PGridError | None:
        """Why the call was not even begun, where that is known; waits for nothing."""
        called: Called = self.actor
        return called.error or self._batch.error_of(self._id)

    def get(self, user: str | None = None, *, timeout: float | None = None) -> Any:
        """Waits for the value and takes a copy home; else as ``p2pgrid.get``.

        Args:
            user: whose right to use; a name of the wallet's keys for this domain. Default: who is
                logged in.
            timeout: seconds; None waits as long as it takes.

        Raises:
            P2PGridError: see ``p2pgrid.get``.
        """
        return Gathering((self,), timeout=timeout, user=user).wait()[0]

    @override
    def once_sent(self, call: Callable[[], None]) -> None:
        """Calls, at once or in the network thread, when ``error`` is known."""
        self._batch.after(call)

    def __await__(self) -> Generator[Any, None, Any]:
        values = yield from fetched((self,)).__await__()
        return values[0]

    @override
    def _display(self) -> Display:
        return Display(f"ResultPointer {short(self._id)} of {self.call} at {self._domain.name}")

    def __del__(self) -> None:
        self._session.free(self._id)

    @override
    def _sessions(self) -> tuple[Session, ...]:
        if (error := self.error) is not None:
            raise error
        return (self._session,)
