"""The thread in which trio runs; every other thread reaches it through here."""

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import trio

from p2pgrid.errors import LocalProtocolError

Result = TypeVar("Result")

STUCK_S = 5.0


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
        """Runs an async function as a task; the future gets its result or its exception.

        The future is cancelled when the thread is stopped first.
        """
        future: Future[Result] = Future()
        self.soon(self._begin, future, function, *args)
        return future

    def call(
        self, function: Callable[..., Awaitable[Result]], *args: object, timeout_s: float
    ) -> Result:
        """Runs an async function and waits for it.

        Raises:
            TimeoutError: it took longer than ``timeout_s``, and was cancelled.
            CancelledError: this thread was stopped meanwhile.
        """

        async def bounded() -> Result:
            with trio.fail_after(timeout_s):
                return await function(*args)

        try:
            # libp2p shields some of its closing, so that a task may outlive its cancellation.
            return self.start(bounded).result(timeout_s + STUCK_S)
        except trio.TooSlowError:
            raise TimeoutError from None

    def stop(self) -> None:
        """Cancels everything that runs here and waits for the thread to end."""
        try:
            self._token.run_sync_soon(self._quit.set)
        except trio.RunFinishedError:
            return
        self._stopped.wait()
        self._thread.join()

    def _begin(
        self, future: "Future[Any]", function: Callable[..., Awaitable[Any]], *args: object
    ) -> None:
        if self._quit.is_set():
            _cancel(future)  # what is started now would never run
        else:
            self._nursery.start_soon(self._settle, future, function, *args)

    async def _settle(
        self, future: "Future[Any]", function: Callable[..., Awaitable[Any]], *args: object
    ) -> None:
        try:
            future.set_result(await function(*args))
        except BaseException as error:  # noqa: BLE001 the future carries it to who waits for it
            # Libp2p's nurseries may leave several Cancelled in a group: the error tells nothing.
            if self._nursery.cancel_scope.cancel_called:
                _cancel(future)
            else:
                future.set_exception(error)


def _cancel(future: "Future[Any]") -> None:
    future.cancel()
    future.set_running_or_notify_cancel()  # cancel() alone does not wake futures.wait()
