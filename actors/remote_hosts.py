"""The processes of actors of exported classes, as Ray actors.

The gateway makes them and owns them, so they end with its process: what they were given, and so
who may read their results, is known only there. Ray places and restarts them; calls go over the
socket of ``host_channel``.
"""

import asyncio
import os
import socket
import threading
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.exports import Exports
from actors.hosted import Hosted, HostThread
from actors.logs import Level, log_to_stderr
from p2pgrid.client import inside
from p2pgrid.config import DEFAULT_LIMITS, Limits
from p2pgrid.errors import ActorDiedError
from p2pgrid.ids import ObjectId, PeerId, short
from p2pgrid.policy.calls import require_feasible
from p2pgrid.protocol.messages import ActorOptions


@ray.remote
class RemoteHost:
    """The process of one actor; it serves the gateway that connects first."""

    def __init__(
        self, exports: Path, cls: str, channel: Path, log_level: Level, result_limit: int
    ) -> None:
        log_to_stderr(log_level)
        if not ray.get_gpu_ids():  # without it, the class would see every GPU of the machine
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        inside.resolve = _handle_of
        channel.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(channel))
        listener.listen(1)
        self._hosted = Hosted(
            cls, lambda: Exports(exports).load_class(cls), result_limit=result_limit
        )
        threading.Thread(target=_serve_one, args=(listener, self._hosted), daemon=True).start()

    def pid(self) -> int:
        """The id of the process; who asks waits until it serves (again)."""
        return os.getpid()

    def call(self, method: str, *args: object, **kwargs: object) -> object:
        """Calls a method, for other actors of the domain: ``handle.call.remote("incr", 1)``.

        What they give it is not among its sources; inside a domain everybody trusts everybody.
        """
        return self._hosted.call(method, *args, **kwargs)


def _handle_of(domain: PeerId, actor: str) -> Any | None:
    """Ray's handle of an actor of a domain in this cluster; see ``client.inside``."""
    name = f"{actor} of {domain}" if actor == inside.STORE else f"actor {actor} of {domain}"
    try:
        return ray.get_actor(name)
    except ValueError:  # there is none
        return None


def _serve_one(listener: socket.socket, hosted: Hosted) -> None:
    with listener:
        gateway, _ = listener.accept()
    HostThread(gateway, hosted)


class RemoteHosts:
    """``HostsPort`` over Ray; ``sockets`` is a directory with a short path."""

    def __init__(
        self,
        exports: Path,
        *,
        sockets: Path,
        peer_id: PeerId,
        log_level: Level,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._exports, self._sockets, self._peer_id = exports, sockets, peer_id
        self._log_level, self._limits = log_level, limits
        self._hosts: dict[ObjectId, Any] = {}

    async def start(self, actor: ObjectId, cls: str, options: ActorOptions) -> None:
        """See ``HostsPort``."""
        nodes = await asyncio.to_thread(ray.nodes)
        require_feasible(options, [it["Resources"] for it in nodes if it["Alive"]])
        self._hosts[actor] = RemoteHost.options(  # type: ignore[attr-defined]
            name=f"actor {actor.hex()} of {self._peer_id}",
            num_cpus=options.num_cpus,
            num_gpus=options.num_gpus,
            memory=options.memory or None,
            max_restarts=options.max_restarts,
            max_task_retries=-1 if options.max_restarts else 0,
        ).remote(self._exports, cls, self._channel(actor), self._log_level, self._limits.frame // 2)

    async def connect(self, actor: ObjectId) -> socket.socket:
        """See ``HostsPort``."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await self._hosts[actor].pid.remote()
            await asyncio.get_running_loop().sock_connect(connection, str(self._channel(actor)))
        except (RayActorError, OSError) as error:
            connection.close()
            reason = "its process ended, and it has no restarts left"
            raise ActorDiedError(actor=short(actor), reason=reason) from error
        return connection

    async def kill(self, actor: ObjectId) -> None:
        """See ``HostsPort``."""
        host = self._hosts.pop(actor, None)
        if host is not None:
            await asyncio.to_thread(ray.kill, host)
        self._channel(actor).unlink(missing_ok=True)

    def _channel(self, actor: ObjectId) -> Path:
        return self._sockets / f"{actor.hex()}.sock"
