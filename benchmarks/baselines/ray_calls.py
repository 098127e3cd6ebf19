"""Plain Ray: a driver calls an actor of the same cluster. Token auth is as the environment says.

``python -m benchmarks.baselines.ray_calls ADDRESS`` measures one round per line on standard input
and prints one line of JSON for each.
"""

import json
import os
import statistics
import sys
import time

import numpy as np
import ray

CALLS = 2000
SINGLE_CALLS = 300


@ray.remote(num_cpus=0)
class Calculator:
    """Adds to a number that it holds, one call or many operations at a time."""

    def __init__(self) -> None:
        self._value = np.float64(0.0)

    def pid(self) -> int:
        """The process that does the work."""
        return os.getpid()

    def add(self, operand: float) -> None:
        """One operation."""
        self._value = np.add(self._value, operand)

    def run(self, operations: list[tuple[str, float]]) -> None:
        """Many operations in one call."""
        functions = {"add": np.add}
        for name, operand in operations:
            self._value = functions[name](self._value, operand)

    def value(self) -> float:
        """The number."""
        return float(self._value)


def measure(actor: "ray.actor.ActorHandle") -> dict[str, float]:
    """One round."""
    singles = []
    for _ in range(SINGLE_CALLS):
        started = time.perf_counter()
        ray.get(actor.add.remote(1.0))
        singles.append(time.perf_counter() - started)
    started = time.perf_counter()
    ray.get([actor.add.remote(1.0) for _ in range(CALLS)])
    pipelined_s = time.perf_counter() - started
    started = time.perf_counter()
    ray.get(actor.run.remote([("add", 1.0)] * CALLS))
    one_call_s = time.perf_counter() - started
    return {
        "ray_call_ms_p50": statistics.median(singles) * 1e3,
        "ray_calls_per_s": CALLS / pipelined_s,
        "ray_one_call_ops_per_s": CALLS / one_call_s,
    }


def main() -> None:
    """Serves rounds until standard input ends."""
    assert os.environ["RAY_AUTH_MODE"] == "token"
    ray.init(address=sys.argv[1], namespace="baseline", logging_level="ERROR", log_to_driver=False)
    actor = Calculator.remote()  # type: ignore[attr-defined]
    assert ray.get(actor.pid.remote()) != os.getpid()
    measure(actor)  # warms up: connections, code paths
    for _ in sys.stdin:
        before = ray.get(actor.value.remote())
        print(json.dumps(measure(actor)), flush=True)
        assert ray.get(actor.value.remote()) - before == SINGLE_CALLS + 2 * CALLS
    ray.shutdown()


if __name__ == "__main__":
    main()
