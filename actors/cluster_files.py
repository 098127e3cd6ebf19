"""The files of a Ray cluster, in a directory of its own: ``ray`` of a node, or an embedded one.

====================  =============================================================
``cluster.json``      how to find and stop the cluster; gone after an orderly stop
``cluster.lock``      held by the one start at a time
``embedded.lock``     held by the one change at a time, where nodes share the cluster
``ray-token``         what a driver proves itself with; mode 0600, new for each start
``ray-start.log``     what ``ray start`` said last
``ray-logs``          Ray's own logs of the last cluster that was stopped
``ray``               mode 0700; in it Ray's directory while a cluster runs
====================  =============================================================

Ray opens its directory and the sockets in it to everybody (0777), hence the closed one around it.
The path of a Unix socket has at most 107 bytes; where the node's own path is too long for that,
``ray`` is ``/tmp/p2pgrid-<uid>-<hash of the node's directory>`` instead.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from actors.processes import Session
from p2pgrid.errors import NodeError
from p2pgrid.protocol.malformed import MALFORMED

SOCKET_PATH_BYTES = 107  # sun_path of unix(7) without its final zero
LONGEST_SOCKET = "/session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store"
SHORT_ROOT = Path("/tmp")  # noqa: S108 - the directory in it is checked to be ours alone


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """All that is needed to connect to a cluster and to stop it, also from a later process."""

    address: str
    session_id: int
    leader_started: float
    """See ``actors.processes.started_at``."""
    token_file: Path
    temp_dir: Path

    @property
    def session(self) -> Session:
        """Where the processes of this cluster are."""
        return Session(self.session_id, self.leader_started, str(self.temp_dir))

    @property
    def directory(self) -> Path:
        """The node's directory."""
        return self.token_file.parent


def load_cluster(directory: Path) -> RunningCluster | None:
    """The cluster that was started last in a node's directory and not stopped; perhaps it crashed.

    Raises:
        NodeError: the file that tells cannot be read.
    """
    record = _record(directory.resolve())
    try:
        return msgspec.json.decode(record.read_bytes(), type=RunningCluster, dec_hook=_decode_path)
    except FileNotFoundError:
        return None
    except MALFORMED as error:
        raise NodeError(f"{record} is damaged ({error}); remove it") from error


def save_cluster(running: RunningCluster) -> None:
    """Writes what ``load_cluster`` reads; whole or not at all."""
    new = _record(running.directory).with_suffix(".new")
    new.write_bytes(msgspec.json.encode(running, enc_hook=str))
    new.replace(_record(running.directory))


def remove_cluster(running: RunningCluster) -> None:
    """Removes token, sockets and spilled objects of a stopped cluster, and keeps Ray's logs.

    Does nothing if the directory holds another cluster by now.
    """
    if load_cluster(running.directory) not in {running, None}:
        return
    _keep_logs(running)
    shutil.rmtree(running.temp_dir, ignore_errors=True)
    with suppress(OSError):  # not there, or not empty: then it is not the one that we made
        running.temp_dir.parent.rmdir()
    running.token_file.unlink(missing_ok=True)
    _record(running.directory).unlink(missing_ok=True)


def new_token(directory: Path) -> Path:
    """Makes the secret that opens the next cluster, in place of the last one's."""
    path = directory / "ray-token"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    return path


def new_temp_dir(directory: Path) -> Path:
    """Makes an empty directory for Ray, in one that is closed to others.

    Raises:
        NodeError: the closed one belongs to somebody else, or is open.
    """
    closed = directory / "ray"
    if len(os.fsencode(closed / "t")) + len(LONGEST_SOCKET) > SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
        closed = SHORT_ROOT.resolve() / f"p2pgrid-{os.getuid()}-{digest}"
    with suppress(FileExistsError):
        closed.mkdir(mode=0o700)
    found = closed.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NodeError(f"{closed} is not a directory of ours with mode 0700; remove it")
    temp_dir = closed / "t"
    shutil.rmtree(temp_dir, ignore_errors=True)
    temp_dir.mkdir(mode=0o700)
    return temp_dir


@contextmanager
def only_start_in(directory: Path) -> Iterator[None]:
    """Held by a start; a second one in the same directory does not wait.

    Raises:
        NodeError: somebody else starts a cluster here.
    """
    with (directory / "cluster.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise NodeError(f"the node in {directory} is being started already") from held
        yield


@contextmanager
def one_at_a_time(directory: Path) -> Iterator[None]:
    """Held by whoever changes what runs in an embedded cluster; a second one waits."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "embedded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start_log(directory: Path) -> Path:
    """Where ``ray start`` writes."""
    return directory / "ray-start.log"


def _record(directory: Path) -> Path:
    return directory / "cluster.json"


def _decode_path(kind: type[Path], text: str) -> Path:
    return kind(text)


def _keep_logs(running: RunningCluster) -> None:
    logs = (running.temp_dir / "session_latest").resolve() / "logs"
    if logs.is_dir():
        kept = running.directory / "ray-logs"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(logs, kept)
        kept.chmod(0o700)
