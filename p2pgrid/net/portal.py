"""The thread in which trio runs; every other thread reaches it through here."""

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import trio

from p2pgrid.errors import LocalProtocolError

Result = TypeVar("Result")


class Portal:
    """One trio event loop in a daemon thread; all methods may be called from any thread."""

    def __init__(self, name: str = "p2pgrid-net") -> None:
        self._ready: Future[None] = Future()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._ready.result()

    def _run(self) -> None:
        try:
            trio.run(self._main)
        finally:
            self._stopped.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._quit = trio.Event()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._ready.set_result(None)
            await self._quit.wait()
            nursery.cancel_scope.cancel()

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Calls a plain function in the trio thread, soon; it must not block or raise."""
        try:
            self._token.run_sync_soon(function, *args)
        except trio.RunFinishedError:
            raise LocalProtocolError("the network thread of this peer was stopped") from None

    def start(self, function: Callable[..., Awaitable[Result]], *args: object) -> Future[Result]:
        """Runs an async function as a task; the future has its result or its exception."""
        future: Future[Result] = Future()
        self.soon(self._nursery.start_soon, self._settle, future, function, *args)
        return future

    def call(
        self, function: Callable[..., Awaitable[Result]], *args: object, timeout_s: float
    ) -> Result:
        """Runs an async function and waits for it.

        Raises:
            TimeoutError: it took longer than ``timeout_s``, its own deadlines notwithstanding.
        """
        return self.start(function, *args).result(timeout_s)

    def stop(self) -> None:
        """Cancels everything that runs here and waits for the thread to end."""
        try:
            self._token.run_sync_soon(self._quit.set)
        except trio.RunFinishedError:
            return
        self._stopped.wait()
        self._thread.join()

    @staticmethod
    async def _settle(
        future: "Future[Any]", function: Callable[..., Awaitable[Any]], *args: object
    ) -> None:
        try:
            future.set_result(await function(*args))
        except trio.Cancelled:
            future.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 the future carries it to who waits for it
            future.set_exception(error)
