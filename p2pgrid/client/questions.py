"""Questions about results, which a domain answers late: few are open, and no thread waits for them.

Rule 1: at most ``MAX_OPEN`` questions of a link are open; others wait their turn. It comes soon,
because nobody asks what may take long when half of them are open. Rule 2: whoever waits for long
does so together with all others, in at most ``MAX_POLLS`` questions. The more of these are open,
the earlier the next one ends, so that they merge.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import chain, islice

from p2pgrid.errors import P2PGridError
from p2pgrid.ids import ObjectId
from p2pgrid.net.calls import checked
from p2pgrid.net.link import Reply
from p2pgrid.protocol.messages import MAX_WAIT_S, AwaitResults, Ready, TakeResults

MAX_OPEN = 16
MAX_POLLS = 4
MAX_POLLED = 256
"""Results that one poll asks for."""

Question = AwaitResults | TakeResults
Inquire = Callable[[Question, float], "Future[Reply]"]
OnAnswer = Callable[["Future[Reply]"], None]
OnReady = Callable[[P2PGridError | None], None]


class Questions:
    """The open questions of one link; may be used from several threads.

    Whoever asked is called in the network thread, or at once when the link is over.
    """

    def __init__(self, inquire: Inquire) -> None:
        self._inquire = inquire
        self._lock = threading.Lock()
        self._open = self._polls = 0
        self._backlog: deque[tuple[Question, OnAnswer]] = deque()
        self._awaited: dict[ObjectId, list[OnReady]] = {}
        self._asked: set[ObjectId] = set()
        """Those that an open poll asks for."""

    @property
    def is_crowded(self) -> bool:
        """True when a question that may take long should rather be put with ``when_ready``."""
        return self._open >= MAX_OPEN // 2

    def ask(self, question: Question, on_answer: OnAnswer) -> None:
        """Asks as soon as fewer than ``MAX_OPEN`` questions are open."""
        with self._lock:
            if self._open >= MAX_OPEN:
                self._backlog.append((question, on_answer))
                return
            self._open += 1
        self._send(question, on_answer)

    def when_ready(self, object_id: ObjectId, on_ready: OnReady) -> None:
        """Calls once a result is there, or has failed, or nobody can say."""
        with self._lock:
            self._awaited.setdefault(object_id, []).append(on_ready)
        self._poll()

    def forget(self, object_id: ObjectId, on_ready: OnReady) -> None:
        """Does not call: nobody waits any more."""
        with self._lock:
            waiting = self._awaited.get(object_id, [])
            if on_ready in waiting:
                waiting.remove(on_ready)
            if not waiting:
                self._awaited.pop(object_id, None)

    def _send(self, question: Question, on_answer: OnAnswer) -> None:
        answer = self._inquire(question, question.timeout_s)
        answer.add_done_callback(lambda answer: self._answered(answer, on_answer))

    def _answered(self, answer: "Future[Reply]", on_answer: OnAnswer) -> None:
        with self._lock:
            following = self._backlog.popleft() if self._backlog else None
            self._open -= following is None
        on_answer(answer)
        if following is not None:
            self._send(*following)

    def _poll(self) -> None:
        with self._lock:
            unasked = (object_id for object_id in self._awaited if object_id not in self._asked)
            ids = tuple(islice(unasked, MAX_POLLED))
            if not ids or self._polls >= MAX_POLLS:
                return
            self._asked.update(ids)
            timeout_s = MAX_WAIT_S / 4**self._polls
            self._polls += 1
        answer = self._inquire(AwaitResults(ids, 1, timeout_s), timeout_s)
        answer.add_done_callback(lambda answer: self._polled(answer, ids))

    def _polled(self, answer: "Future[Reply]", ids: tuple[ObjectId, ...]) -> None:
        error: P2PGridError | None = None
        ready = set(ids)
        try:
            ready &= set(checked(answer.result().message, Ready).object_ids)
        except P2PGridError as failed:
            error = failed
        with self._lock:
            self._polls -= 1
            self._asked.difference_update(ids)
            waiting = {each: self._awaited.pop(each) for each in ids if each in self._awaited}
            late = {each: waiting.pop(each) for each in waiting.keys() - ready}
            self._awaited |= late  # behind those that were not asked for
        for on_ready in chain.from_iterable(waiting.values()):
            on_ready(error)
        self._poll()
