"""This process as the driver of a node's cluster: makes its actors and asks them.

Import it only when Ray's environment is set; ``deploy`` does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from msgspec.structs import replace
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from actors.cluster import RunningCluster
from actors.layout import NodeDirectory, NodeStatus
from actors.remote import RemoteGateway, RemoteRegistry, RemoteState, RemoteStore
from p2pgrid.errors import NodeError
from p2pgrid.protocol.messages import Account

NAMESPACE = "p2pgrid"
START_S = 60.0
OWNER_NAME = "owner"


def start_actors(directory: NodeDirectory, running: RunningCluster) -> NodeStatus:
    """Makes the actors that do not run yet, and returns when the gateway answers.

    Raises:
        NodeError: it did not.
    """
    channel = running.temp_dir / "store.sock"
    settings = directory.settings()
    with _connected(running.address):
        state = _named(RemoteState, "state").remote(directory.database)
        store = registry = None
        if settings.kind == "domain":
            store = _named(RemoteStore, "store").remote(
                directory.objects, channel, settings.log_level
            )
            _enrol_owner(directory, state)
        else:
            registry = _named(RemoteRegistry, "registry").remote(directory.path / "registry.db")
        gateway = _named(RemoteGateway, "gateway")
        place = str(directory.path)
        return _ask(directory, gateway.remote(place, state, store, channel, registry))


def ask_gateway(directory: NodeDirectory, running: RunningCluster) -> NodeStatus:
    """The status of a running node.

    Raises:
        NodeError: its gateway does not answer.
    """
    with _connected(running.address):
        return _ask(directory, ray.get_actor("gateway"))


@contextmanager
def _connected(address: str) -> Iterator[None]:
    ray.init(address=address, namespace=NAMESPACE, logging_level="ERROR", log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def _named(actor: Any, name: str) -> Any:
    """Makes the actor of this name, or finds it when it runs already."""
    return actor.options(name=name, get_if_exists=True)


def _enrol_owner(directory: NodeDirectory, state: Any) -> None:
    key = directory.owner_key()
    if key is not None and not ray.get(state.accounts.remote(), timeout=START_S):
        owner = Account(name=OWNER_NAME, public_key=key, role="owner")
        ray.get(state.enrol.remote(owner), timeout=START_S)


def _ask(directory: NodeDirectory, gateway: Any) -> NodeStatus:
    status = directory.status()
    try:
        addresses, pid, metrics = ray.get(gateway.status.remote(), timeout=START_S)
    except (RayActorError, RayTaskError) as error:
        raise NodeError(f"the gateway of {status.name} did not start: {error}") from error
    except GetTimeoutError as error:
        raise NodeError(f"no gateway of {status.name} answered in {START_S:g} s") from error
    return replace(status, running=True, addresses=addresses, gateway_pid=pid, metrics=metrics)
