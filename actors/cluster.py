"""Starts and stops the one Ray cluster that a node has on this machine.

Ray means one cluster per machine: ``ray stop`` ends them all. Here each cluster is a Unix session
with ports of its own (``actors.processes``, ``actors.sockets``), so that it is stopped alone.
"""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from actors.cluster_command import (
    PORT_FLAGS,
    ClusterSettings,
    cluster_environment,
    start_command,
)
from actors.cluster_files import (
    RunningCluster,
    load_cluster,
    new_temp_dir,
    new_token,
    one_at_a_time,
    only_start_in,
    remove_cluster,
    save_cluster,
    start_log,
)
from actors.processes import members, started_at, stop_members
from actors.sockets import free_ports, outside_listeners
from p2pgrid.errors import InsecureListenerError, NodeError

__all__ = [
    "ClusterSettings",
    "RunningCluster",
    "cluster_is_alive",
    "driver_environment",
    "load_cluster",
    "one_at_a_time",
    "start_cluster",
    "stop_cluster",
]

START_DEADLINE_S = 60.0
STOP_GRACE_S = 10.0
REMAINS_GRACE_S = 0.5  # a raylet without its GCS does not end on SIGTERM
LOG_LINES = 8  # of a failed start, in the error


def start_cluster(
    settings: ClusterSettings,
    *,
    deadline_s: float = START_DEADLINE_S,
    _environment: Mapping[str, str] | None = None,
) -> RunningCluster:
    """Starts a head node and returns when drivers can connect.

    What a crashed cluster of the same directory has left is cleared away first.

    Args:
        settings: The size of the cluster; the directory is made if it is missing.
        deadline_s: When to give up.
        _environment: For tests: variables that take the place of ours.

    Raises:
        InsecureListenerError: a socket was not on loopback; the cluster was stopped.
        NodeError: a cluster of this directory runs or starts already, or Ray did not start.
    """
    directory = settings.directory.resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_start_in(directory), free_ports(len(PORT_FLAGS)) as ports, ExitStack() as undo:
        _clear_remains(directory)
        leader, running = _launch(settings, directory, ports, _environment or {})
        undo.callback(leader.wait)
        undo.callback(stop_cluster, running)
        _wait_until_up(leader, start_log(directory), deadline_s)
        _check(running)
        undo.pop_all()
    return running


def stop_cluster(running: RunningCluster, *, grace_s: float = STOP_GRACE_S) -> None:
    """Ends every process of the cluster, and removes its token, sockets and spilled objects.

    Ray's logs stay in ``ray-logs`` in the node's directory. Stopping twice does no harm.

    Raises:
        NodeError: processes outlived SIGKILL.
    """
    stop_members([running.session], grace_s=grace_s)
    remove_cluster(running)


def cluster_is_alive(running: RunningCluster) -> bool:
    """Whether the two processes without which nothing works exist; it does not talk to them."""
    return {"gcs_server", "raylet"} <= set(members(running.session).values())


def driver_environment(running: RunningCluster) -> dict[str, str]:
    """The whole environment for a driver, which calls ``ray.init(address=running.address)``."""
    return cluster_environment(running.token_file)


def _clear_remains(directory: Path) -> None:
    last = load_cluster(directory)
    if last is None:
        return
    if cluster_is_alive(last):
        raise NodeError(f"the node in {directory} runs already; stop it first")
    stop_cluster(last, grace_s=REMAINS_GRACE_S)


def _launch(
    settings: ClusterSettings,
    directory: Path,
    ports: Sequence[int],
    environment: Mapping[str, str],
) -> tuple[subprocess.Popen[bytes], RunningCluster]:
    temp_dir, token_file = new_temp_dir(directory), new_token(directory)
    command = start_command(settings, temp_dir=temp_dir, ports=ports)
    with start_log(directory).open("wb") as log:
        leader = subprocess.Popen(  # noqa: S603 - our interpreter, our arguments, no shell
            command,
            cwd=temp_dir,  # by which actors.processes knows the workers
            env=cluster_environment(token_file) | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    running = RunningCluster(
        address=f"127.0.0.1:{ports[0]}",
        session_id=leader.pid,
        leader_started=started_at(leader.pid),
        token_file=token_file,
        temp_dir=temp_dir,
    )
    save_cluster(running)
    return leader, running


def _wait_until_up(leader: subprocess.Popen[bytes], log: Path, deadline_s: float) -> None:
    """``ray start`` ends when the raylet has registered, and leaves the cluster behind."""
    try:
        code = leader.wait(timeout=deadline_s)
    except subprocess.TimeoutExpired as late:
        raise NodeError(f"Ray did not start within {deadline_s:g} s; {_told(log)}") from late
    if code != 0:
        raise NodeError(f"ray start ended with code {code}; {_told(log)}")


def _check(running: RunningCluster) -> None:
    if not cluster_is_alive(running):
        raise NodeError(f"Ray died right after its start; see {running.directory / 'ray-logs'}")
    if listeners := outside_listeners(members(running.session)):
        raise InsecureListenerError(listeners=listeners)


def _told(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"the end of {log}:", *lines])
