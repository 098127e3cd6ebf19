"""``cluster.yaml`` as an operator runs it: ``ray up`` over ssh to a Unix user of its own.

The user, its software and its sshd are made here and removed at the end. It has the packages of
this environment as hard links, since it may not read where they are.
"""

import getpass
import json
import os
import pwd
import re
import secrets
import select
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import pytest

from actors.sockets import free_ports, outside_listeners
from p2pgrid.client.connect import Client
from p2pgrid.client.domain import DomainClient

pytestmark = pytest.mark.ray

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "/usr/sbin/sshd": "openssh-server",
    "/usr/bin/ssh": "openssh-client",
    "/usr/bin/rsync": "rsync",
    "/usr/sbin/useradd": "passwd",
}
LEFT_OUT = ("torch", "nvidia", "triton", "__editable__*", "p2pgrid", "actors", "__pycache__")
"""Packages that the node does not import, or that come from the checkout."""
LIBP2P_PORT = 4100  # as in cluster.yaml
STOP_S = 10.0


@dataclass(frozen=True)
class Operator:
    """Who types ``ray up``: a directory with a key, an edited cluster.yaml, and a wallet."""

    directory: Path
    uid: int
    """Of the Unix user on whose account the domain runs."""

    @property
    def settings(self) -> Path:
        return self.directory / "cluster.yaml"

    def run(self, *command: str) -> str:
        """What a command of our environment prints, typed at the top of the checkout."""
        program, *arguments = command
        kept = {name: it for name, it in os.environ.items() if not name.startswith("RAY_")}
        done = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=CHECKOUT,
            env=kept
            | {
                "HOME": str(self.directory),
                "TMPDIR": str(self.directory),
                "P2PGRID_HOME": str(self.directory),
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def edit(self, old: str, new: str) -> None:
        """What an editor would do."""
        text = self.settings.read_text()
        assert old in text
        self.settings.write_text(text.replace(old, new))


@dataclass(frozen=True)
class Booted:
    """A domain after two ``ray up``: one that made it, one that named its owner."""

    operator: Operator
    first: str
    second: str

    @property
    def address(self) -> str:
        return address_in(self.second)


@pytest.fixture(scope="module")
def booted() -> Iterator[Booted]:
    with unix_user() as operator:
        first = operator.run("ray", "up", "-y", str(operator.settings))
        key = operator.run(
            *("p2pgrid", "wallet", "new", address_in(first)), *("--user", "owner"), "--format=json"
        )
        operator.edit("--owner-key=later", f"--owner-key={json.loads(key)['pubkey']}")
        second = operator.run("ray", "up", "-y", str(operator.settings))
        yield Booted(operator, first, second)


def test_the_owner_publishes_over_libp2p(booted: Booted) -> None:
    client = Client(home=booted.operator.directory)
    try:
        domain = client.connect(booted.address)
        assert isinstance(domain, DomainClient)
        ages = np.arange(6, dtype=np.int32).reshape(2, 3)
        dataset = domain.login("owner").publish("ages", ages, tags=["#health"])
        np.testing.assert_array_equal(dataset["ages"].get(), ages)
    finally:
        client.close()


def test_ray_up_again_keeps_the_domain(booted: Booted) -> None:
    assert address_in(booted.first) == address_in(booted.second)


def test_only_the_libp2p_port_could_be_reached_from_outside(booted: Booted) -> None:
    processes = processes_of(booted.operator.uid)
    listening = {
        (socket.laddr.ip, socket.laddr.port)
        for process in processes
        for socket in process.net_connections("tcp")
        if socket.status == psutil.CONN_LISTEN
    }
    assert ("127.0.0.1", LIBP2P_PORT) in listening  # the --host that the operator chose
    assert len(listening) > 5
    assert outside_listeners(process.pid for process in processes) == ()


def address_in(text: str) -> str:
    found = re.search(rf"/ip4/127\.0\.0\.1/tcp/{LIBP2P_PORT}/p2p/\w+", text)
    assert found, text
    return found[0]


@contextmanager
def unix_user() -> Iterator[Operator]:
    """An operator who reaches an account by ssh; afterwards neither it nor its processes exist."""
    require_programs()
    with ExitStack() as undo:
        top = Path(undo.enter_context(TemporaryDirectory(prefix="p2pgrid-up-", dir="/tmp")))
        top.chmod(0o755)
        name = f"p2pgrid-{secrets.token_hex(4)}"
        home = top / "home"
        run("useradd", "--create-home", "--home-dir", home, "--shell=/bin/bash", "-p*", name)
        undo.callback(run, "userdel", "--remove", "--force", name)
        uid = pwd.getpwnam(name).pw_uid
        undo.callback(end_all, lambda: [*processes_of(uid), *processes_with(str(top))])
        environment = lay_out_software(top, home / "venv", user=name)
        operator = Operator(top / "operator", uid)
        operator.directory.mkdir(mode=0o700)
        key = operator.directory / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        configure_sshd(top / "sshd", key.with_suffix(".pub"), user=name, env=environment)
        port = undo.enter_context(listening_sshd(top / "sshd"))
        write_settings(operator, user=name, key=key, sshd_port=port)
        command, variables = home / "venv/bin/p2pgrid", environment | {"HOME": str(home)}
        undo.callback(lambda: require_only_sshd(processes_of(uid)))
        undo.callback(
            run, command, "domain", "stop", "hospital", user=name, env=variables, cwd=home
        )
        yield operator


def require_programs() -> None:
    if os.geteuid() != 0:
        pytest.fail(f"this test makes a Unix user; run it as root, not as {getpass.getuser()}")
    missing = [package for path, package in PROGRAMS.items() if not Path(path).exists()]
    if missing:
        pytest.fail(f"this test needs: apt-get install {' '.join(missing)}")


def require_only_sshd(processes: Sequence[psutil.Process]) -> None:
    """After ``domain stop`` nothing is left but the connections that Ray keeps open a while."""
    assert {process.name() for process in processes} <= {"sshd"}


def write_settings(operator: Operator, *, user: str, key: Path, sshd_port: int) -> None:
    """The EDITs that cluster.yaml asks for."""
    proxy = operator.directory / "proxy"
    proxy.write_text("#!/bin/bash\nexec 3<>/dev/tcp/$1/$2; cat <&3 & exec cat >&3\n")
    proxy.chmod(0o700)
    shutil.copy(CHECKOUT / "cluster.yaml", operator.settings)
    operator.edit("192.0.2.10", "127.0.0.1")
    operator.edit("ssh_user: hospital", f"ssh_user: {user}")
    operator.edit("~/.ssh/hospital", str(key))
    operator.edit("# ssh_proxy_command: nc %h 2222", f"ssh_proxy_command: {proxy} %h {sshd_port}")


def configure_sshd(directory: Path, public_key: Path, *, user: str, env: dict[str, str]) -> None:
    """The files of an sshd that knows one user and one key."""
    directory.mkdir()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "host")
    shutil.copy(public_key, directory / "authorized")
    lines = [
        "ListenAddress 127.0.0.1",
        f"HostKey {directory / 'host'}",
        f"AuthorizedKeysFile {directory / 'authorized'}",
        f"AllowUsers {user}",
        "AuthenticationMethods publickey",
        "UsePAM no",
        "StrictModes no",  # it does not like keys below /tmp
        "PidFile none",
        *(f"SetEnv {name}={value}" for name, value in env.items()),
    ]
    (directory / "config").write_text("\n".join(lines) + "\n")


@contextmanager
def listening_sshd(directory: Path) -> Iterator[int]:
    """The port of an sshd on loopback."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its empty jail
    with free_ports(1) as (port,), ExitStack() as undo:
        command = ["/usr/sbin/sshd", "-D", "-e", f"-p{port}", f"-f{directory / 'config'}"]
        sshd = undo.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        undo.callback(sshd.terminate)
        assert sshd.stderr is not None
        said = [sshd.stderr.readline()]
        while "listening" not in said[-1]:
            assert said[-1], said
            said.append(sshd.stderr.readline())
        yield port


def lay_out_software(top: Path, venv: Path, *, user: str) -> dict[str, str]:
    """A virtual environment that the user may run; returns the variables that it needs."""
    python, environment = Path(sys.executable).resolve(), {}
    if not may_run(python, user=user):
        python = copy_python(python, top / "python")
        # Its own path to libpython leads to where it was built.
        environment = {"LD_LIBRARY_PATH": str(top / "python/lib")}
    packages = venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    packages.mkdir(parents=True)
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not any(entry.match(pattern) for pattern in LEFT_OUT):
            link_tree(entry, packages / entry.name)
    for name in ("p2pgrid", "actors"):
        shutil.copytree(CHECKOUT / name, packages / name)
    (venv / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(python)
    command = venv / "bin/p2pgrid"
    command.write_text(f"#!{venv}/bin/python\nfrom p2pgrid.cli.main import main\n\nmain()\n")
    command.chmod(0o755)
    run(
        "chmod", "-R", "a+rX", *(it for it in (venv, top / "python") if it.exists())
    )  # whatever our umask is
    return environment


def copy_python(python: Path, target: Path) -> Path:
    """The interpreter and its standard library at another place."""
    base, version = Path(sys.base_prefix), sysconfig.get_python_version()
    link_tree(base / f"lib/python{version}", target / f"lib/python{version}")
    for library in base.glob("lib/libpython*.so*"):
        link_tree(library, target / "lib" / library.name)
    link_tree(python, target / "bin" / python.name)
    return target / "bin" / python.name


def link_tree(source: Path, target: Path) -> None:
    """Hard links for a file or for all files of a directory, at other names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignore = shutil.ignore_patterns("site-packages")
        shutil.copytree(source, target, symlinks=True, copy_function=link, ignore=ignore)
    else:
        link(source, target)


def link(source: Path | str, target: Path | str) -> None:
    """A hard link, or a copy where others may not read the file or it is on another disk."""
    if Path(source).stat().st_mode & 0o004:
        with suppress(OSError):
            return os.link(source, target)
    shutil.copy2(source, target)
    return None


def may_run(python: Path, *, user: str) -> bool:
    try:
        run(python, "-c", "import encodings", user=user, env={}, cwd="/")
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def run(
    *command: str | Path, user: str | None = None, env: dict[str, str] | None = None,
    cwd: Path | str | None = None,
) -> None:  # fmt: skip
    groups: Sequence[int] | None = None if user is None else ()
    group = None if user is None else pwd.getpwnam(user).pw_gid
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        user=user,
        group=group,
        extra_groups=groups,
        env=env,
        cwd=cwd,
        timeout=60,
    )


def processes_of(uid: int) -> list[psutil.Process]:
    """Live processes of a Unix user."""
    found = psutil.process_iter(["uids", "status"])
    return [
        process
        for process in found
        if process.info["uids"].real == uid and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def processes_with(path: str) -> list[psutil.Process]:
    """Processes with a path in their command line: our sshd, and ssh, which Ray leaves behind."""
    found = psutil.process_iter(["cmdline"])
    return [
        process
        for process in found
        if process.pid != os.getpid()
        and any(path in word for word in process.info["cmdline"] or ())
    ]


def end_all(find: Callable[[], list[psutil.Process]]) -> None:
    """Ends processes by their ids until none is found."""
    for signal in (psutil.Process.terminate, psutil.Process.kill):
        for process in find():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                ended = os.pidfd_open(process.pid)
                signal(process)
                select.select([ended], [], [], STOP_S)
                os.close(ended)
    assert find() == []
