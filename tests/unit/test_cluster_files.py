"""A cluster's files are closed to others, short enough, and never those of another cluster."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from actors import cluster_files
from actors.cluster_command import ClusterSettings, cluster_environment, start_command
from actors.cluster_files import (
    RunningCluster,
    load_cluster,
    new_temp_dir,
    new_token,
    only_start_in,
    remove_cluster,
    save_cluster,
)
from p2pgrid.errors import NodeError


@pytest.fixture(autouse=True)
def short_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "short"
    root.mkdir()
    monkeypatch.setattr(cluster_files, "SHORT_ROOT", root)
    return root


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def cluster(directory: Path) -> RunningCluster:
    return RunningCluster(
        address="127.0.0.1:20000",
        session_id=2**22 + 1,  # more than a pid can be
        leader_started=12345.67,
        token_file=new_token(directory),
        temp_dir=new_temp_dir(directory),
    )


def test_ray_lives_in_the_node_directory_if_its_sockets_fit() -> None:
    with TemporaryDirectory(prefix="n") as path:
        temp_dir = new_temp_dir(Path(path))
        assert temp_dir.is_relative_to(path)
        assert mode(temp_dir.parent) == 0o700
        assert len(f"{temp_dir}{cluster_files.LONGEST_SOCKET}") <= 107


def test_a_long_directory_gets_a_short_one_of_its_own(short_root: Path, tmp_path: Path) -> None:
    long, longer = tmp_path / ("x" * 60), tmp_path / ("x" * 61)
    one, other = new_temp_dir(long), new_temp_dir(longer)
    assert one.is_relative_to(short_root)
    assert one != other
    assert new_temp_dir(long) == one
    in_tmp = f"/tmp/{one.relative_to(short_root)}"  # noqa: S108
    assert len(in_tmp + cluster_files.LONGEST_SOCKET) <= 107


def test_an_earlier_session_is_cleared_away(tmp_path: Path) -> None:
    temp_dir = new_temp_dir(tmp_path)
    (temp_dir / "session_old").mkdir()
    assert list(new_temp_dir(tmp_path).iterdir()) == []


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    new_temp_dir(tmp_path).parent.chmod(0o755)
    with pytest.raises(NodeError, match="mode 0700"):
        new_temp_dir(tmp_path)


def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    closed = new_temp_dir(tmp_path).parent
    closed.rename(tmp_path / "elsewhere")
    closed.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NodeError, match="mode 0700"):
        new_temp_dir(tmp_path)


def test_each_start_has_a_token_that_only_the_owner_reads(tmp_path: Path) -> None:
    first = new_token(tmp_path).read_text()
    path = new_token(tmp_path)
    assert mode(path) == 0o600
    assert len(path.read_text()) == 64
    assert path.read_text() != first


def test_a_cluster_is_found_again_as_it_was(tmp_path: Path) -> None:
    assert load_cluster(tmp_path) is None
    running = cluster(tmp_path)
    save_cluster(running)
    assert load_cluster(tmp_path) == running
    assert running.session.mark == str(running.temp_dir)


def test_a_damaged_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text("{")
    with pytest.raises(NodeError, match=r"cluster\.json is damaged"):
        load_cluster(tmp_path)


def test_a_stopped_cluster_leaves_its_logs_only(tmp_path: Path, short_root: Path) -> None:
    running = cluster(tmp_path)
    save_cluster(running)
    (running.temp_dir / "session_1" / "logs").mkdir(parents=True)
    (running.temp_dir / "session_1" / "logs" / "raylet.out").write_text("said")
    (running.temp_dir / "session_latest").symlink_to(running.temp_dir / "session_1")
    remove_cluster(running)
    assert (tmp_path / "ray-logs" / "raylet.out").read_text() == "said"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["ray-logs", short_root.name]
    assert list(short_root.iterdir()) == []
    remove_cluster(running)


def test_the_files_of_a_later_cluster_stay(tmp_path: Path) -> None:
    running = cluster(tmp_path)
    later = replace(running, session_id=running.session_id + 1)
    save_cluster(later)
    remove_cluster(running)
    assert load_cluster(tmp_path) == later
    assert running.token_file.exists()
    assert running.temp_dir.exists()


def test_one_start_at_a_time(tmp_path: Path) -> None:
    with (
        only_start_in(tmp_path),
        pytest.raises(NodeError, match="being started already"),
        only_start_in(tmp_path),
    ):
        pytest.fail("both hold it")
    with only_start_in(tmp_path):
        pass


WHOLE = ClusterSettings(Path("/node"), 2.0, 1.0, 80_000_000, {"domain": 3.0})


def test_the_command_has_the_amounts_and_a_port_of_its_own_for_each() -> None:
    command = start_command(WHOLE, temp_dir=Path("/node/ray/t"), ports=range(20_000, 20_008))
    amounts = {"--num-cpus=2", "--num-gpus=1", '--resources={"domain": 3}'}
    assert amounts <= set(command)
    assert len([word for word in command if "port=200" in word]) == 8


@pytest.mark.parametrize("amount", [0.5, -1.0, float("inf"), float("nan")])
def test_amounts_that_ray_does_not_offer_are_refused(amount: float) -> None:
    for wrong in (
        replace(WHOLE, num_cpus=amount),
        replace(WHOLE, num_gpus=amount),
        replace(WHOLE, resources={"domain": amount}),
    ):
        with pytest.raises(NodeError, match=f"is {amount:g}, but Ray offers whole numbers"):
            start_command(wrong, temp_dir=Path("/node/ray/t"), ports=range(20_000, 20_008))


def test_the_environment_has_no_ray_variable_of_ours_and_no_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "relative", "/absolute"]))
    environment = cluster_environment(tmp_path / "ray-token")
    assert "RAY_ADDRESS" not in environment
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "ray-token")
    assert environment["PATH"] == os.environ["PATH"]
    paths = environment["PYTHONPATH"].split(os.pathsep)
    assert paths[0] == "/absolute"
    assert all(Path(path).is_absolute() for path in paths)
