"""What all handles to objects of a domain have in common."""

from abc import abstractmethod
from collections.abc import Callable
from typing import NoReturn, Self

from typing_extensions import override

from p2pgrid.client.display import Displayed
from p2pgrid.client.home import Home
from p2pgrid.client.session import Session
from p2pgrid.errors import P2PGridError
from p2pgrid.ids import ObjectId, PeerId


class Handle(Displayed):
    """A name of an object that lives, and stays, in a domain."""

    __slots__ = ()

    _domain: Home
    _id: ObjectId

    @property
    def location(self) -> PeerId:
        """The peer id of the domain that holds the object."""
        return self._domain.peer_id

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a pointer belongs to the session of this process; get() its values")

    @abstractmethod
    def _sessions(self) -> tuple[Session, ...]:
        """The session that made the object; none for what no session made.

        Raises:
            P2PGridError: why the object is not there, where that is known.
        """


class Called(Handle):
    """An actor, or what a call of one returns."""

    __slots__ = ()

    @property
    @abstractmethod
    def error(self) -> P2PGridError | None:
        """Why the call that makes it was not even begun, where that is known; waits for nothing."""


class Returned(Called):
    """What a call returns, to be taken home."""

    __slots__ = ()

    _session: Session

    @abstractmethod
    def once_sent(self, call: Callable[[], None]) -> None:
        """Calls, at once or in the network thread, when ``error`` is known."""
