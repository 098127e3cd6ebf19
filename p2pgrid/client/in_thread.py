"""Work that must not hold anybody up: in a thread that is left behind when it takes too long."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def in_thread(work: Callable[[], Result], *, name: str) -> "Future[Result]":
    """Starts work in a daemon thread; the future gets its result, or what it raised."""
    result: Future[Result] = Future()

    def act() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 the future carries it to who waits for it
            result.set_exception(error)

    threading.Thread(target=act, name=f"p2pgrid-{name}", daemon=True).start()
    return result
