"""The inside of an actor's process: the owner's object, and its calls, one after the other.

What a method raises goes to the owner's log under a reference; outside only the reference is told.
So it is with a result that is not of the declared type, or that cannot travel: what leaves is what
the owner has declared, or nothing.
"""

import logging
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from actors.host_channel import CONSTRUCT, Array, HostAnswer, HostCall, Inbox, bytes_of
from p2pgrid.errors import TaskError, ValueTypeError
from p2pgrid.exports import exported
from p2pgrid.protocol import faults
from p2pgrid.protocol.codec import MAX_BUFFERS, Buffer
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.signatures import type_named
from p2pgrid.protocol.values import Packer, Reference, Value, no_references, unpack

log = logging.getLogger(__name__)

LoadClass = Callable[[], type]


class Hosted:
    """An object of an exported class, from the first call on."""

    def __init__(self, name: str, load_class: LoadClass, *, result_limit: int) -> None:
        self._name, self._load_class, self._result_limit = name, load_class, result_limit
        self._object: Any = None
        self._turn = threading.Lock()
        self._methods: dict[str, tuple[Callable[..., object], str]] = {}

    def carry_out(
        self, call: HostCall, arrays: Sequence[Array]
    ) -> tuple[HostAnswer, Sequence[Buffer]]:
        """Carries out a call; how it ended, and the arrays of its result."""
        out: list[bytes] = []
        try:
            value = self._packed(call, arrays, out)
        except (Exception, SystemExit):  # the border: what the owner's code raises stays here
            reference, name = secrets.token_hex(4), self._name_of(call)
            log.exception("a call failed", extra={"call": name, "reference": reference})
            failure = faults.failure_of(TaskError(call=name, reference=reference))
            return HostAnswer(call.number, failure=failure), ()
        return HostAnswer(call.number, value, buffers=len(out)), out

    def _packed(self, call: HostCall, arrays: Sequence[Array], out: list[bytes]) -> Value:
        buffers = list(map(bytes_of, arrays))
        args = [unpack(it, buffers, resolve=_resolve) for it in call.args]
        kwargs = {name: unpack(it, buffers, resolve=_resolve) for name, it in call.kwargs.items()}
        if call.method == CONSTRUCT:
            self._construct(args, kwargs)
            return None
        method, declared = self._methods[call.method]
        packer = Packer(out, ref_of=no_references, array_limit=self._result_limit)
        with self._turn:
            result = method(*args, **kwargs)
        value = packer.pack(result)
        if not type_named(declared).accepts(value):
            raise TypeError(f"a result is not of the declared type {declared}")
        if len(out) > MAX_BUFFERS or sum(map(len, out)) > self._result_limit:
            raise ValueError(
                f"a result has over {MAX_BUFFERS} arrays or {self._result_limit:,} bytes"
            )
        return value

    def _construct(self, args: Sequence[object], kwargs: dict[str, object]) -> None:
        cls = self._load_class()
        found = exported(cls)
        if found is None:
            raise TypeError(f"{cls.__name__} is not exported")
        self._object = cls(*args, **kwargs)
        self._methods = {
            it.name: (getattr(self._object, it.name), it.returns) for it in found.info.methods
        }

    def call(self, method: str, *args: object, **kwargs: object) -> object:
        """Calls a method for somebody inside the domain, between the calls from outside.

        Raises:
            KeyError: there is no such exported method, or no object yet.
        """
        function, _ = self._methods[method]
        with self._turn:
            return function(*args, **kwargs)

    def _name_of(self, call: HostCall) -> str:
        return f"{self._name}.{call.method}" if call.method else f"the constructor of {self._name}"


class HostThread:
    """Serves an actor to the gateway over a socket, in a thread of its own, until it hangs up."""

    def __init__(self, connection: socket.socket, hosted: Hosted) -> None:
        self._hosted, self._inbox = hosted, Inbox(connection)
        self._thread = threading.Thread(target=self._serve, name="p2pgrid-actor", daemon=True)
        self._thread.start()

    def crash(self) -> None:
        """Ends the connection at once, as the end of a process would."""
        self._inbox.shut()

    def _serve(self) -> None:
        try:
            while True:
                self._inbox.answer(*self._hosted.carry_out(*self._inbox.next()))
        except (EOFError, ConnectionError):
            log.info("the gateway hung up on an actor")
        except MALFORMED:
            log.exception("the gateway sent no call")
        finally:
            self._inbox.close()


def _resolve(reference: Reference) -> object:
    raise ValueTypeError(kind=type(reference).__name__)
