"""Every process of a session is found and ended, and nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from actors.processes import Session, members, session_of, started_at, stop_members

SLEEP = "sleep 300"

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs a shell script as the leader of a session, in ``tmp_path``, until it prints a line."""
    leaders: list[subprocess.Popen[str]] = []

    def run(script: str) -> subprocess.Popen[str]:
        leader = subprocess.Popen(
            ["/bin/sh", "-c", script],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        leaders.append(leader)
        assert leader.stdout is not None
        leader.stdout.readline()
        return leader

    yield run
    sessions = {leader.pid for leader in leaders}
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) in sessions or process.cwd() == str(tmp_path):
                process.kill()
    for leader in leaders:
        leader.communicate()


def session(leader: subprocess.Popen[str], mark: Path | str = "") -> Session:
    return Session(leader.pid, started_at(leader.pid), str(mark))


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; whether somebody asked for their exit code does not matter."""
    left = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
    return left


def names(found: dict[int, str]) -> list[str]:
    return sorted(found.values())


def test_members_are_the_session_and_what_left_it(start: Start) -> None:
    leader = start(f"{SLEEP} & setsid {SLEEP} & setsid sh -c '{SLEEP} & {SLEEP}' & echo; wait")
    other = start(f"{SLEEP} & echo; wait")
    found = members(session(leader))
    assert names(found).count("sleep") >= 2
    assert leader.pid in found
    assert other.pid not in found
    assert {session_of(pid) for pid in found} > {leader.pid}


def test_a_session_without_leader_is_known_by_its_directory(start: Start, tmp_path: Path) -> None:
    leader = start(f"{SLEEP} & echo; exit 0")
    recorded = session(leader, tmp_path)
    leader.wait()
    assert names(members(recorded)) == ["sleep"]
    assert members(replace(recorded, mark="/somewhere/else")) == {}
    assert members(replace(recorded, mark="")) == {}


def test_a_session_without_leader_is_known_by_a_command_line(start: Start, tmp_path: Path) -> None:
    leader = start(f"cd / && (exec tail -f /dev/null {tmp_path}/log 2>&1) & echo; exit 0")
    recorded = session(leader, tmp_path / "log")
    leader.wait()
    assert names(members(recorded)) == ["tail"]


def test_a_number_that_was_given_anew_is_not_our_session(start: Start, tmp_path: Path) -> None:
    leader = start(f"{SLEEP} & echo; wait")
    ours = session(leader, tmp_path)
    older = replace(ours, started=ours.started - 1)
    assert members(older) == {}
    stop_members([older], grace_s=1.0)
    assert names(members(ours)) == ["sh", "sleep"]


def test_processes_of_other_users_are_not_touched(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = start(f"{SLEEP} & echo; wait")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: 4_242_424)
        stop_members([session(leader)], grace_s=1.0)
        assert members(session(leader)) == {}
    assert names(members(session(leader))) == ["sh", "sleep"]


def test_the_caller_is_never_a_member() -> None:
    """In a session of its own: in a container, pytest's may be one that the kernel calls 0."""
    script = (
        "import os, subprocess; from actors.processes import Session, members, started_at\n"
        f"with subprocess.Popen({SLEEP.split()}) as child:\n"
        "    me = os.getpid()\n"
        "    print(*members(Session(me, started_at(me), os.getcwd())).values())\n"
        "    child.kill()"
    )
    command = [sys.executable, "-c", script]
    asked = subprocess.run(
        command, start_new_session=True, check=True, capture_output=True, text=True
    )
    assert asked.stdout.split() == ["sleep"]


def test_stop_ends_members_of_all_sessions_and_nothing_else(start: Start) -> None:
    one, two, other = (start(f"{SLEEP} & setsid {SLEEP} & echo; wait") for _ in range(3))
    sessions = [session(one), session(two)]
    doomed = [psutil.Process(pid) for it in sessions for pid in members(it)]
    stop_members(sessions, grace_s=5.0)
    assert alive(doomed) == []
    assert len(doomed) >= 6
    assert other.pid in members(session(other))


def test_what_ignores_sigterm_is_killed_after_the_grace(start: Start) -> None:
    leader = start(f"trap '' TERM; {SLEEP} & echo; wait; wait; {SLEEP}")
    stop_members([session(leader)], grace_s=0.2)
    assert leader.wait(timeout=5) == -signal.SIGKILL


def test_what_ends_on_sigterm_is_not_waited_for_longer(start: Start) -> None:
    leader = start(f"echo; exec {SLEEP}")
    stop_members([session(leader)], grace_s=60.0)  # pytest's own limit is the check
    assert leader.wait(timeout=5) == -signal.SIGTERM


def test_what_is_started_while_it_stops_ends_too(start: Start, tmp_path: Path) -> None:
    leader = start(f"trap '{SLEEP} & exit' TERM; echo; while :; do {SLEEP} & wait; done")
    recorded = session(leader, tmp_path)
    stop_members([recorded], grace_s=5.0)
    assert members(recorded) == {}


def test_what_left_the_session_is_killed_though_its_parent_is_gone(start: Start) -> None:
    leader = start(f"setsid sh -c \"trap '' TERM; echo; {SLEEP}; {SLEEP}\" & wait")
    recorded = session(leader)
    stubborn = [psutil.Process(pid) for pid in members(recorded) if session_of(pid) != leader.pid]
    assert stubborn
    stop_members([recorded], grace_s=0.2)
    assert alive(stubborn) == []


def test_the_raylet_ends_before_the_others_are_asked(start: Start, tmp_path: Path) -> None:
    slowly = {"raylet": "sleep 0.3; ", "gcs_server": "", "worker": ""}  # to let others go ahead
    for name, work in slowly.items():
        (tmp_path / name).symlink_to("/bin/sh")
        (tmp_path / f"{name}.sh").write_text(
            f"trap '{work}echo {name} >> order; exit' TERM; echo\nwhile :; do {SLEEP} & wait; done"
        )
    leader = start(
        "mkfifo up; for name in raylet gcs_server worker; do ./$name $name.sh > up & done; "
        "for name in 1 2 3; do read line; done < up; echo; wait"
    )
    recorded = session(leader)
    assert set(slowly) <= set(members(recorded).values())
    stop_members([recorded], grace_s=10.0)
    assert (tmp_path / "order").read_text().split()[0] == "raylet"


def test_the_start_of_a_process_is_told_to_the_tick(start: Start) -> None:
    leader = start(f"echo; {SLEEP}")
    assert started_at(leader.pid) == started_at(leader.pid)
    assert started_at(1) < started_at(leader.pid)
    leader.kill()
    leader.wait()
    with pytest.raises(ProcessLookupError):
        started_at(leader.pid)
