"""Who waits for which answer on one link: a pure state machine, time comes in as a value.

Rule 1: request numbers of a side go up by one; a number is never used twice.
Rule 2: a request ends once: by its answer, by its deadline, or with the link.
Rule 3: a request that comes in is handled at most once, whatever the transport repeats.
Rule 4: a request of ours that ended by its deadline keeps its place until the peer answers it,
because the peer still counts it: a patient peer is never taken for one that asks too much.
"""

from p2pgrid.errors import BusyError, RemoteProtocolError


class Exchange:
    """The open requests of one link, in both directions; at most ``limit`` in each."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._issued = 0
        self._deadlines: dict[int, float] = {}
        self._expired: set[int] = set()
        self._last_seen = 0
        self._inbound: set[int] = set()

    @property
    def waiting(self) -> int:
        """How many of our requests have no answer yet."""
        return len(self._deadlines)

    @property
    def working_on(self) -> int:
        """How many requests of the peer we have not answered yet."""
        return len(self._inbound)

    def open(self, *, deadline: float) -> int:
        """Numbers a new request of ours.

        Raises:
            BusyError: the peer owes ``limit`` answers already; it would hang up on one more.
        """
        if len(self._deadlines) + len(self._expired) >= self._limit:
            raise BusyError(limit=self._limit)
        self._issued += 1
        self._deadlines[self._issued] = deadline
        return self._issued

    def close(self, request: int) -> bool:
        """Ends one of our requests by its answer; False when it had ended already.

        Raises:
            RemoteProtocolError: we never sent a request of this number.
        """
        if not 0 < request <= self._issued:
            raise RemoteProtocolError(f"an answer came to request {request}, which was never sent")
        self._expired.discard(request)
        return self._deadlines.pop(request, None) is not None

    def expire(self, *, now: float) -> tuple[int, ...]:
        """Ends and returns our requests whose deadline has come."""
        late = tuple(request for request, at in self._deadlines.items() if at <= now)
        for request in late:
            del self._deadlines[request]
        self._expired.update(late)
        return late

    def next_deadline(self) -> float:
        """When ``expire`` has something to do; infinity when nothing waits."""
        return min(self._deadlines.values(), default=float("inf"))

    def accept(self, request: int) -> bool:
        """Takes a request of the peer; False when it is a repetition, to be dropped.

        Raises:
            RemoteProtocolError: the peer has more than ``limit`` unanswered requests here.
        """
        if request <= self._last_seen:
            return False
        if len(self._inbound) >= self._limit:
            raise RemoteProtocolError(f"the peer sent more than {self._limit} requests at once")
        self._last_seen = request
        self._inbound.add(request)
        return True

    def owes(self, request: int) -> bool:
        """True when a request of the peer has no answer yet."""
        return request in self._inbound

    def finish(self, request: int) -> bool:
        """Marks a request of the peer as answered; False when it was answered before."""
        if request not in self._inbound:
            return False
        self._inbound.remove(request)
        return True
