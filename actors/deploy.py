"""Starts and stops a node: its Ray cluster first, then its actors.

Starting is idempotent: what runs already is left as it is. ``ray up``, ``launch`` and the command
line all come through here, each time in a process of its own, because a process can be the driver
of one Ray cluster only and Ray reads its settings once, when it is imported.
"""

import os
from types import ModuleType

from actors.cluster import (
    ClusterSettings,
    RunningCluster,
    cluster_is_alive,
    driver_environment,
    load_cluster,
    start_cluster,
    stop_cluster,
)
from actors.layout import NodeDirectory, NodeStatus
from actors.sockets import port_is_free
from p2pgrid.errors import P2PGridError, PortInUseError


def start_node(directory: NodeDirectory) -> NodeStatus:
    """Starts a node and returns when it answers.

    Raises:
        NodeNotFoundError: no node was made in this directory.
        PortInUseError: another process listens on its port.
        InsecureListenerError: a Ray socket was reachable from outside; nothing runs now.
        NodeError: it did not start; nothing runs now.
    """
    running = _running(directory)
    if running is None:
        settings = directory.settings()
        for port in (settings.port, settings.bulk_port):
            if port and not port_is_free(port):
                raise PortInUseError(port=port)
        running = start_cluster(_cluster_settings(directory))
    try:
        return _driver(running).start_actors(directory, running)  # type: ignore[no-any-return]
    except P2PGridError:
        stop_cluster(running)
        raise


def stop_node(directory: NodeDirectory) -> NodeStatus:
    """Ends every process of a node; what it acknowledged is on disk. Twice does no harm.

    Raises:
        NodeNotFoundError: no node was made in this directory.
    """
    status = directory.status()
    running = load_cluster(directory.ray)
    if running is not None:
        stop_cluster(running)
    return status


def node_status(directory: NodeDirectory) -> NodeStatus:
    """Whether a node runs, and where; a node whose gateway restarts waits for it.

    Raises:
        NodeNotFoundError: no node was made in this directory.
    """
    running = _running(directory)
    if running is None:
        return directory.status()
    return _driver(running).ask_gateway(directory, running)  # type: ignore[no-any-return]


def _running(directory: NodeDirectory) -> RunningCluster | None:
    directory.settings()
    running = load_cluster(directory.ray)
    return running if running is not None and cluster_is_alive(running) else None


def _driver(running: RunningCluster) -> ModuleType:
    """The module that imports Ray, imported when the settings that Ray reads are in place."""
    os.environ.update(driver_environment(running))
    from actors import driver  # noqa: PLC0415

    return driver


def _cluster_settings(directory: NodeDirectory) -> ClusterSettings:
    settings = directory.settings()
    return ClusterSettings(
        directory=directory.ray,
        num_cpus=settings.num_cpus,
        num_gpus=settings.num_gpus,
        object_store_bytes=settings.object_store_bytes,
        resources=settings.resources,
    )
