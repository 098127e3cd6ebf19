"""Starts and stops nodes: their Ray cluster first, then their actors.

Starting is idempotent: what runs already is left as it is. ``ray up``, ``launch`` and the command
line all come through here, each time in a process of its own, because a process can be the driver
of one Ray cluster only and Ray reads its settings once, when it is imported.

A node with isolation ``cluster`` is alone in its cluster. The others share an embedded one, which
starts with the first of them and ends with the last; one program at a time changes it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from actors.cluster import (
    ClusterSettings,
    RunningCluster,
    cluster_is_alive,
    driver_environment,
    load_cluster,
    one_at_a_time,
    start_cluster,
    stop_cluster,
)
from actors.layout import NodeDirectory, NodeStatus
from actors.sockets import port_is_free
from p2pgrid.errors import NodeError, P2PGridError, PortInUseError

Nodes = Sequence[NodeDirectory]
Statuses = tuple[NodeStatus, ...]


def start_nodes(directories: Nodes) -> Statuses:
    """Starts nodes of one cluster, all or none, and returns when they answer.

    Raises:
        NodeNotFoundError: no node was made in one of the directories.
        PortInUseError: another process listens on a node's port, or that of its metrics.
        NetworkKeyFileError: a closed node has no key any more.
        InsecureListenerError: a Ray socket was reachable from outside; nothing runs now.
        NodeError: they live in several clusters; or did not start: none of them runs now.
    """
    with _their_cluster(directories) as place:
        for directory in directories:
            directory.network_key()  # or it would be a process that dies without saying why
        running = _running(place)
        if running is None:
            _refuse_used_ports(directories)
            running = start_cluster(_cluster_settings(place, directories))
        try:
            return _driver(running).start(directories, running)  # type: ignore[no-any-return]
        except P2PGridError:
            _end(directories, running)
            raise


def stop_nodes(directories: Nodes) -> Statuses:
    """Ends nodes of one cluster; what they acknowledged is on disk. Twice does no harm.

    Raises:
        NodeNotFoundError: no node was made in one of the directories.
        NodeError: they live in several clusters.
    """
    with _their_cluster(directories) as place:
        last = load_cluster(place)
        if last is not None:
            _end(directories, last)
    return tuple(directory.status() for directory in directories)


def nodes_status(directories: Nodes) -> Statuses:
    """Whether nodes run, and where; one whose gateway restarts waits for it.

    Raises:
        NodeNotFoundError: no node was made in one of the directories.
        NodeError: they live in several clusters.
    """
    with _their_cluster(directories) as place:
        running = _running(place)
        if running is None:
            return tuple(directory.status() for directory in directories)
        return _driver(running).status(directories, running)  # type: ignore[no-any-return]


@contextmanager
def _their_cluster(directories: Nodes) -> Iterator[Path]:
    """The directory of the one cluster; held, when others may change it meanwhile."""
    places = {directory.cluster() for directory in directories}
    if len(places) != 1:
        raise NodeError(f"these nodes live in {len(places)} Ray clusters; name those of one")
    place = places.pop()
    if _is_embedded(directories):
        with one_at_a_time(place):
            yield place
    else:
        yield place


def _is_embedded(directories: Nodes) -> bool:
    return directories[0].settings().isolation != "cluster"


def _running(place: Path) -> RunningCluster | None:
    running = load_cluster(place)
    return running if running is not None and cluster_is_alive(running) else None


def _end(directories: Nodes, running: RunningCluster) -> None:
    """Ends the nodes; the cluster as well, unless another node runs in it."""
    is_shared = _is_embedded(directories) and cluster_is_alive(running)
    if not (is_shared and _driver(running).leave(directories, running)):
        stop_cluster(running)


def _refuse_used_ports(directories: Nodes) -> None:
    for directory in directories:
        settings = directory.settings()
        ports = (settings.port, settings.bulk_port, settings.metrics_port, settings.http_port)
        for port in ports:
            if port and not port_is_free(port):
                raise PortInUseError(port=port)


def _driver(running: RunningCluster) -> ModuleType:
    """The module that imports Ray, imported when the settings that Ray reads are in place."""
    os.environ.update(driver_environment(running))
    from actors import driver  # noqa: PLC0415

    return driver


def _cluster_settings(place: Path, directories: Nodes) -> ClusterSettings:
    """Those of the node whose own cluster it is; an embedded one gets the defaults."""
    settings = directories[0].settings()
    return ClusterSettings(
        directory=place,
        num_cpus=settings.num_cpus,
        num_gpus=settings.num_gpus,
        object_store_bytes=settings.object_store_bytes,
        resources=settings.resources,
    )
