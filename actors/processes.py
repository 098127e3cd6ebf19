"""Finds and ends every process of a Unix session.

A Ray cluster is started as a session of its own. Ray gives its workers process groups of their own
but never a session, so the session holds the whole cluster, and also what an actor has started and
what has lost its parent since.

When is a session the one that was recorded? The kernel gives a session's number to nobody else
while a single member lives, so one member that is surely ours proves it for all of them:

* the leader (the process whose pid is the number) is ours if it started in the recorded tick;
* without a leader, which is the usual case, since ``ray start`` ends once the cluster is up, a
  member is ours if its working directory or command line mentions ``Session.mark``, a directory
  that only this cluster uses. Ray retitles its workers, but they keep the working directory.

What cannot be found: a process that left the session and whose parent died before we looked.
"""

import os
import select
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from p2pgrid.errors import NodeError

KILL_ROUNDS = 5  # a process may fork between our look and our SIGKILL
KILL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Session:
    """What has to be remembered to find a session again, also after our own restart."""

    number: int
    """The pid of its leader."""
    started: float
    """When its leader started, as ``started_at`` tells it."""
    mark: str
    """A path that members have in their working directory or command line."""


def session_of(pid: int) -> int:
    """The number of the session in which a process is.

    Raises:
        ProcessLookupError: there is no such process.
    """
    return os.getsid(pid)


def started_at(pid: int) -> float:
    """Seconds from boot to the start of a process, exact to the kernel's tick.

    Unlike ``psutil``'s ``create_time`` it does not move when somebody sets the clock.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        stat = Path("/proc", str(pid), "stat").read_bytes()
    except FileNotFoundError as gone:
        raise ProcessLookupError(f"no process {pid}") from gone
    ticks = stat.rpartition(b")")[2].split()[19]  # field 22 of proc(5), counted after the name
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def members(session: Session) -> dict[int, str]:
    """Pid and name of all live processes of a session, and of their descendants elsewhere.

    Only processes of the current user, never the caller itself. Empty when the session has ended
    or when its number belongs to something else by now.
    """
    return {process.pid: name for process, name in _find([session]).items()}


def stop_members(sessions: Collection[Session], *, grace_s: float) -> None:
    """Ends all members of the sessions and returns when none is left.

    Raylets get SIGTERM first and up to half of the time, because a raylet ends its own workers and
    agents in order; then all others, the GCS last. What is left ``grace_s`` seconds after the call
    gets SIGKILL.

    Raises:
        NodeError: processes outlived SIGKILL.
    """
    called = time.monotonic()
    seen = _find(sessions)
    raylets = [process for process, name in seen.items() if name == "raylet"]
    _signal_and_wait(raylets, psutil.Process.terminate, grace_s / 2)
    seen |= _find(sessions, known=seen)
    gcs_last = sorted(seen, key=lambda process: seen[process] == "gcs_server")
    _signal_and_wait(gcs_last, psutil.Process.terminate, called + grace_s - time.monotonic())
    for _ in range(KILL_ROUNDS):
        seen |= _find(sessions, known=seen)
        if not any(_is_alive(process) for process in seen):
            return
        _signal_and_wait(seen, psutil.Process.kill, KILL_WAIT_S)
    raise NodeError(f"processes outlived SIGKILL: {sorted(_find(sessions, known=seen).values())}")


def _signal_and_wait(
    processes: Collection[psutil.Process], send: Callable[[psutil.Process], None], wait_s: float
) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # psutil refuses to signal a pid that was given anew
            send(process)
    _wait(processes, until=time.monotonic() + wait_s)


def _wait(processes: Iterable[psutil.Process], *, until: float) -> None:
    """Returns when all have ended, though nobody may have asked for their exit codes, or late.

    ``psutil.wait_procs`` would wait for the latter as well: for ever, where pid 1 does not do it.
    """
    poll, waiting = select.poll(), set()
    with ExitStack() as opened:
        for process in processes:
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(process.pid)
                opened.callback(os.close, descriptor)
                if _is_alive(process):
                    poll.register(descriptor, select.POLLIN)
                    waiting.add(descriptor)
        while waiting and (left_s := until - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left_s * 1000):
                poll.unregister(descriptor)
                waiting.remove(descriptor)


def _find(
    sessions: Iterable[Session], *, known: Collection[psutil.Process] = ()
) -> dict[psutil.Process, str]:
    """Members and descendants with their names; ``known`` were seen to be ours before."""
    rows = _own_processes()
    found: set[psutil.Process] = set()
    for session in sessions:
        group = {process for process, row in rows.items() if row.session == session.number}
        if not group.isdisjoint(known) or _is_ours(session, group):
            found |= group
    _add_descendants(found, rows)
    return {process: rows[process].name for process in found}


@dataclass(frozen=True, slots=True)
class _Row:
    session: int
    parent: int
    name: str


def _own_processes() -> dict[psutil.Process, _Row]:
    rows = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError), process.oneshot():
            if _may_be_touched(process):
                rows[process] = _Row(os.getsid(process.pid), process.ppid(), process.name())
    return rows


def _may_be_touched(process: psutil.Process) -> bool:
    own = process.pid != os.getpid() and process.uids().real == os.getuid()
    return own and _is_alive(process)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _add_descendants(found: set[psutil.Process], rows: Mapping[psutil.Process, _Row]) -> None:
    before = -1
    while len(found) != before:
        before = len(found)
        pids = {process.pid for process in found}
        found |= {process for process, row in rows.items() if row.parent in pids}


def _is_ours(session: Session, group: Iterable[psutil.Process]) -> bool:
    for process in group:
        if process.pid == session.number:
            return _started(process.pid) == session.started
    return any(_bears(process, session.mark) for process in group)


def _started(pid: int) -> float | None:
    try:
        return started_at(pid)
    except ProcessLookupError:
        return None


def _bears(process: psutil.Process, mark: str) -> bool:
    try:
        texts = (process.cwd(), *process.cmdline())
    except psutil.Error:
        return False
    return bool(mark) and any(mark in text for text in texts)
