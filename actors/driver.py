"""This process as the driver of a cluster: makes the actors of nodes and asks them.

Import it only when Ray's environment is set; ``deploy`` does.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from msgspec.structs import replace
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from actors import packs
from actors.cluster import RunningCluster
from actors.layout import NodeDirectory, NodeStatus
from actors.pack import Serving
from actors.remote import RemoteGateway, RemoteRegistry, RemoteState, RemoteStore
from actors.sockets import port_is_free
from p2pgrid.errors import NodeError, PortInUseError

log = logging.getLogger(__name__)

NAMESPACE = "p2pgrid"
START_S = 60.0
STOP_S = 10.0
SERVICES = ("gateway", "state", "store", "registry")

Nodes = Sequence[NodeDirectory]


def start(directories: Nodes, running: RunningCluster) -> tuple[NodeStatus, ...]:
    """Makes the actors that do not run yet, and returns when all nodes answer.

    Raises:
        PortInUseError: another process listens on a node's port.
        NodeError: a node did not answer.
    """
    with _connected(running.address):
        tokens = packs.start(_packed(directories), running.temp_dir)
        gateways = []
        for directory in _with_actors(directories):
            gateway, tokens[directory.path] = _start_actors(directory, running.temp_dir)
            gateways.append(gateway)
        ray.wait(gateways, num_returns=len(gateways), timeout=START_S)
        return tuple(
            replace(status, setup_token=tokens.get(Path(status.directory), ""))
            for status in _statuses(directories)
        )


def status(directories: Nodes, running: RunningCluster) -> tuple[NodeStatus, ...]:
    """The status of nodes whose cluster runs.

    Raises:
        NodeError: a gateway does not answer.
    """
    with _connected(running.address):
        return _statuses(directories)


def leave(directories: Nodes, running: RunningCluster) -> bool:
    """Ends nodes; False when the cluster is to end instead: no other is in it, or it is broken."""
    try:
        with _connected(running.address):
            if _all_nodes() <= {_key(directory) for directory in directories}:
                return False
            packs.stop(_packed(directories))
            for directory in _with_actors(directories):
                _stop_actors(directory)
            return True
    except (NodeError, ConnectionError):
        log.exception("the embedded cluster does not answer")
        return False


@contextmanager
def _connected(address: str) -> Iterator[None]:
    ray.init(address=address, namespace=NAMESPACE, logging_level="ERROR", log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def _packed(directories: Nodes) -> list[Path]:
    return [it.path for it in directories if it.settings().isolation == "packed"]


def _with_actors(directories: Nodes) -> list[NodeDirectory]:
    return [it for it in directories if it.settings().isolation != "packed"]


def _name(service: str, directory: NodeDirectory) -> str:
    return f"{service} of {directory.peer_id()}"


def _all_nodes() -> set[str]:
    gateways = {name for name in ray.util.list_named_actors() if name.startswith("gateway of ")}
    return gateways | {str(path) for path in packs.serving()}


def _key(directory: NodeDirectory) -> str:
    """The node in ``_all_nodes``."""
    if directory.settings().isolation == "packed":
        return str(directory.path)
    return _name("gateway", directory)


def _start_actors(directory: NodeDirectory, sockets: Path) -> tuple[Any, str]:
    """The status of the gateway, to come; and a setup token, if it starts without an owner."""
    is_new, token = _find("gateway", directory) is None, ""
    if is_new and not port_is_free(directory.settings().port):
        raise PortInUseError(port=directory.settings().port)
    channel, level = sockets / f"{directory.peer_id()}.sock", directory.settings().log_level
    state = _make(RemoteState, "state", directory).remote(directory.database)
    store = registry = None
    if directory.settings().kind == "domain":
        store = _make(RemoteStore, "store", directory).remote(directory.objects, channel, level)
        ray.get(state.enrol_owner.remote(directory.owner_key()), timeout=START_S)
        if is_new:
            token = ray.get(state.begin_setup.remote(now=int(time.time())), timeout=START_S)
    else:
        registry = _make(RemoteRegistry, "registry", directory).remote(directory.registry)
    gateway = _make(RemoteGateway, "gateway", directory)
    made = gateway.remote(str(directory.path), state, store, channel, registry)
    return made.status.remote(), token


def _stop_actors(directory: NodeDirectory) -> None:
    gateway = _find("gateway", directory)
    if gateway is not None:
        with suppress(RayActorError, RayTaskError, GetTimeoutError):  # then the kill has to do
            ray.get(gateway.stop.remote(), timeout=STOP_S)
    for service in SERVICES:
        actor = _find(service, directory)
        if actor is not None:
            ray.kill(actor)


def _make(actor: Any, service: str, directory: NodeDirectory) -> Any:
    """Makes the actor of this name, or finds it when it runs already."""
    return actor.options(name=_name(service, directory), get_if_exists=True)


def _find(service: str, directory: NodeDirectory) -> Any | None:
    try:
        return ray.get_actor(_name(service, directory))
    except ValueError:  # there is none
        return None


def _statuses(directories: Nodes) -> tuple[NodeStatus, ...]:
    packed = packs.serving() if _packed(directories) else {}
    return tuple(
        _told(directory, packed.get(directory.path))
        if directory.settings().isolation == "packed"
        else _told(directory, _ask(directory))
        for directory in directories
    )


def _told(directory: NodeDirectory, serving: Serving | None) -> NodeStatus:
    status = directory.status()
    if serving is None:
        return status
    return replace(
        status,
        running=True,
        addresses=serving.addresses,
        gateway_pid=serving.pid,
        metrics=serving.metrics,
        url=serving.url,
    )


def _ask(directory: NodeDirectory) -> Serving | None:
    gateway, name = _find("gateway", directory), directory.settings().name
    if gateway is None:
        return None
    try:
        return ray.get(gateway.status.remote(), timeout=START_S)  # type: ignore[no-any-return]
    except (RayActorError, RayTaskError) as error:
        raise NodeError(f"the gateway of {name} did not start: {error}") from error
    except GetTimeoutError as error:
        raise NodeError(f"no gateway of {name} answered in {START_S:g} s") from error
