"""The thread in which asyncio runs; the nodes of a pack share one."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """One asyncio loop in a daemon thread; all methods may be called from any other thread."""

    def __init__(self, name: str = "p2pgrid-gateway") -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine and waits for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Starts a coroutine in the background; ``end_tasks`` ends it."""
        return self.run(_spawned(work))

    def stop(self) -> None:
        """Ends everything that runs here, and the thread."""
        self.run(_end_others())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def end_tasks(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancels tasks and waits until they have ended."""
    ending = tuple(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def _spawned(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(work)


async def _end_others() -> None:
    current = asyncio.current_task()
    await end_tasks(task for task in asyncio.all_tasks() if task is not current)
