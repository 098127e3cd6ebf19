"""The command line and the environment with which Ray runs as we need it.

Whoever reaches a Ray socket and has the token runs code as the owner of the node. So every socket
is on loopback, the token is on, and what is not needed does not run: no dashboard, log monitor,
autoscaler or Ray Client server.
"""

import json
import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from p2pgrid.errors import NodeError

PACKAGE_ROOT = Path(__file__).resolve().parents[1]
PORT_FLAGS = (
    "--port",
    "--node-manager-port",
    "--object-manager-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
    "--dashboard-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
)


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What a cluster offers, and the node's directory, where its files are.

    ``num_cpus``, ``num_gpus`` and each of ``resources`` are whole numbers: Ray offers no others,
    though an actor may ask for a fraction of one.
    """

    directory: Path
    num_cpus: float
    num_gpus: float
    object_store_bytes: int
    resources: Mapping[str, float]


class StartParameters(Protocol):
    """The one of Ray's own start parameters that has no flag."""

    ray_client_server_port: int | None


def without_client_server(parameters: StartParameters, _head: bool) -> None:
    """Ray calls this within ``ray start``, as ``RAY_START_HOOK`` says.

    The Ray Client server would take 50 MB, and be one more way to run code here.
    """
    parameters.ray_client_server_port = None


def start_command(settings: ClusterSettings, *, temp_dir: Path, ports: Sequence[int]) -> list[str]:
    """The arguments that start a head node; ``ports`` are those of ``PORT_FLAGS``.

    Raises:
        NodeError: a quantity is negative or not whole.
    """
    resources = {name: _whole(name, amount) for name, amount in settings.resources.items()}
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head"),
        *(f"{flag}={port}" for flag, port in zip(PORT_FLAGS, ports, strict=True)),
        *("--min-worker-port=0", "--max-worker-port=0"),  # 0: the kernel chooses
        f"--temp-dir={temp_dir}",
        f"--num-cpus={_whole('num_cpus', settings.num_cpus)}",
        f"--num-gpus={_whole('num_gpus', settings.num_gpus)}",
        f"--object-store-memory={settings.object_store_bytes}",
        f"--resources={json.dumps(resources)}",
        *("--include-dashboard=false", "--include-log-monitor=false", "--no-monitor"),
        "--disable-usage-stats",
    ]


def cluster_environment(token_file: Path) -> dict[str, str]:
    """The whole environment for ``ray start``, which the workers inherit, and for drivers.

    It is ours, but all ``RAY_`` variables are left out: they could lead to another cluster.
    """
    kept = {name: it for name, it in os.environ.items() if not name.startswith(("RAY_", "__RAY_"))}
    return kept | {
        "PYTHONPATH": _python_path(),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        # Ray's switch for "everything on loopback". It is documented for other systems only, so
        # actors.cluster looks at the sockets after each start.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_START_HOOK": f"{__name__}.{without_client_server.__name__}",
        # Else each CPU has an idle worker of 45 MB from the first driver on.
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
    }


def _python_path() -> str:
    """Ours without entries that depend on the working directory, and with our packages.

    Installed packages are found anyway; those of a checkout are not.
    """
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [path for path in inherited if Path(path).is_absolute()]
    if str(PACKAGE_ROOT) not in {sysconfig.get_path("purelib"), *paths}:
        paths.append(str(PACKAGE_ROOT))
    return os.pathsep.join(paths)


def _whole(name: str, value: float) -> int:
    if value < 0 or not float(value).is_integer():
        raise NodeError(f"{name} is {value:g}, but Ray offers whole numbers from 0 on")
    return int(value)
