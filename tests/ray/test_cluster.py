"""Real Ray clusters: they start alone, answer those with the token, and stop without a trace."""

import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from actors.cluster import (
    ClusterSettings,
    RunningCluster,
    cluster_is_alive,
    driver_environment,
    load_cluster,
    start_cluster,
    stop_cluster,
)
from actors.processes import members, session_of
from p2pgrid.errors import InsecureListenerError, NodeError

pytestmark = pytest.mark.ray

Start = Callable[[Path], RunningCluster]

ASK_AN_ACTOR = """
import sys, ray

@ray.remote(num_cpus=0)
class Answering:
    def ask(self):
        import os, actors.cluster, p2pgrid.errors
        assert "RAY_ADDRESS" not in os.environ
        return os.getpid(), ray.cluster_resources()["domain"]

ray.init(address=sys.argv[1], namespace="test", log_to_driver=False, logging_level="ERROR")
actor = Answering.options(
    name="answering", get_if_exists=True, lifetime="detached"
).remote()
print(*ray.get(actor.ask.remote(), timeout=60))
"""


def settings(directory: Path) -> ClusterSettings:
    return ClusterSettings(
        directory=directory,
        num_cpus=1,
        num_gpus=0,
        object_store_bytes=80_000_000,
        resources={"domain": 3},
    )


def ask_an_actor(running: RunningCluster, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", ASK_AN_ACTOR, running.address],
        env=driver_environment(running) | environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def mentioning(directory: Path) -> list[psutil.Process]:
    """Live processes with the directory in their command line, or in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        texts = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        is_alive = process.info["status"] != psutil.STATUS_ZOMBIE
        if is_alive and any(str(directory) in text for text in texts):
            found.append(process)
    return found


def listeners(running: RunningCluster) -> list[tuple[str, int]]:
    return [
        (socket.laddr.ip, socket.laddr.port)
        for pid in members(running.session)
        for socket in psutil.Process(pid).net_connections("tcp")
        if socket.status == psutil.CONN_LISTEN
    ]


def is_gone(running: RunningCluster) -> bool:
    return (
        not members(running.session)
        and not mentioning(running.temp_dir)
        and not running.temp_dir.parent.exists()
        and not running.token_file.exists()
        and load_cluster(running.directory) is None
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster for all tests that leave it as it is; variables of another one are about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_TMPDIR", "/nowhere")
        started = start_cluster(settings(tmp_path_factory.mktemp("node")))
        yield started
        stop_cluster(started)
    assert is_gone(started)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts clusters that are stopped even if the test fails half-way."""
    started: list[RunningCluster] = []

    def start_in(directory: Path) -> RunningCluster:
        started.append(start_cluster(settings(directory)))
        return started[-1]

    yield start_in
    for one in started:
        stop_cluster(one, grace_s=1.0)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory that can hold Ray's sockets itself; ``tmp_path`` is too long for that."""
    with TemporaryDirectory() as path:
        yield Path(path)


def test_an_actor_answers_and_lives_in_the_session(running: RunningCluster) -> None:
    answer = ask_an_actor(running)
    assert answer.returncode == 0, answer.stderr
    pid, domains = answer.stdout.split()
    assert members(running.session)[int(pid)] == "ray::Answering"
    assert session_of(int(pid)) == running.session_id
    assert float(domains) == 3.0


def test_a_wrong_token_is_refused(running: RunningCluster, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("0" * 64)
    answer = ask_an_actor(
        running,
        RAY_AUTH_TOKEN_PATH=str(tmp_path / "wrong"),
        RAY_NUM_REDIS_GET_RETRIES="2",  # else Ray tries for 20 s
    )
    assert answer.returncode != 0
    assert "InvalidAuthToken" in answer.stderr


def test_every_listener_is_on_loopback(running: RunningCluster) -> None:
    assert ask_an_actor(running).returncode == 0  # a worker listens as well
    hosts = [host for host, _ in listeners(running)]
    assert len(hosts) >= 5
    assert set(hosts) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_only_what_is_needed_runs(running: RunningCluster) -> None:
    """Five processes beside the workers; the client server and the monitor would be two more."""
    names = members(running.session).values()
    assert len([name for name in names if not name.startswith("ray::Answering")]) == 5
    text = " ".join(word for it in mentioning(running.temp_dir) for word in it.cmdline())
    assert "ray.util.client.server" not in text
    assert "monitor.py" not in text


def test_token_and_sockets_are_closed_to_others(running: RunningCluster) -> None:
    assert stat.S_IMODE(running.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(running.temp_dir.parent.stat().st_mode) == 0o700
    assert list(running.temp_dir.glob("session_2*/sockets/plasma_store"))


def test_what_was_started_can_be_found_again(running: RunningCluster) -> None:
    assert load_cluster(running.directory) == running
    assert cluster_is_alive(running)
    older = replace(running, leader_started=0.0, temp_dir=Path("/another/cluster"))
    assert not cluster_is_alive(older)


def test_a_second_start_in_the_same_directory_is_refused(running: RunningCluster) -> None:
    with pytest.raises(NodeError, match="runs already"):
        start_cluster(settings(running.directory))
    assert cluster_is_alive(running)


def test_clusters_live_and_die_alone(running: RunningCluster, start: Start, tmp_path: Path) -> None:
    second = start(tmp_path / "node")
    assert not {port for _, port in listeners(running)} & {port for _, port in listeners(second)}
    first_members = members(running.session)
    stop_cluster(second)
    assert is_gone(second)
    assert members(running.session) == first_members
    assert ask_an_actor(running).returncode == 0
    assert list((second.directory / "ray-logs").glob("raylet*"))
    stop_cluster(second)


def test_after_a_crash_it_starts_again_and_clears_the_rest_away(
    start: Start, tmp_path: Path
) -> None:
    crashed = start(tmp_path)
    found = members(crashed.session)
    # The raylet would only notice after a while that nobody is left.
    doomed = [psutil.Process(pid) for pid, name in found.items() if name != "raylet"]
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(doomed, timeout=10.0)
    assert not cluster_is_alive(crashed)
    again = start(tmp_path)
    assert cluster_is_alive(again)
    assert not members(crashed.session)
    stop_cluster(crashed)
    assert cluster_is_alive(again)
    stop_cluster(again)
    assert is_gone(again)


def test_after_a_kill_of_everything_it_starts_again(start: Start, short_path: Path) -> None:
    killed = start(short_path)
    doomed = [psutil.Process(pid) for pid in members(killed.session)]
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    again = start(short_path)
    stop_cluster(again)
    assert is_gone(again)


def test_sockets_on_all_interfaces_are_refused(short_path: Path) -> None:
    everywhere = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    with pytest.raises(InsecureListenerError) as refused:
        start_cluster(settings(short_path), _environment=everywhere)
    assert any(text.startswith("[::]:") for text in refused.value.listeners)
    assert mentioning(short_path) == []
    assert load_cluster(short_path) is None


def test_what_ray_said_is_in_the_error(short_path: Path) -> None:
    with pytest.raises(NodeError, match=r"ray start ended with code 1; .*ray-start.log") as failed:
        start_cluster(replace(settings(short_path), object_store_bytes=1))
    assert "object store memory" in str(failed.value)
    assert load_cluster(short_path) is None


def test_a_start_that_takes_too_long_is_ended(short_path: Path) -> None:
    with pytest.raises(NodeError, match=r"did not start within 0\.3 s"):
        start_cluster(settings(short_path), deadline_s=0.3)
    assert mentioning(short_path) == []
    assert load_cluster(short_path) is None
