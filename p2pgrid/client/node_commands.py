"""``python -m actors``, by which a program reaches the nodes of this machine.

A program can be the driver of one Ray cluster only, so every step on nodes is a process of its own
that leaves them behind; one process does a step for many nodes that share a cluster.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from p2pgrid.errors import MissingExtraError, NodeError, P2PGridError

COMMAND_S = 180.0


def on_node(command: str, directory: Path, *arguments: str) -> dict[str, Any]:
    """Runs a command on one node and reads its answer; see ``on_nodes``."""
    return on_nodes(command, [(directory, *arguments)])[0]


def on_nodes(command: str, nodes: Sequence[Sequence[str | Path]]) -> list[dict[str, Any]]:
    """Runs a command on nodes, each with the arguments that it needs; an answer for each.

    Raises:
        MissingExtraError: the ``node`` extra is not installed.
        P2PGridError: of the class whose code the command reported.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError(extra="node", needed_for="running a node")
    if not nodes:
        return []
    words = [str(word) for node in nodes for word in node]
    try:
        done = subprocess.run(  # noqa: S603 our own interpreter and module
            # -P: a directory "actors" or "ray" where the person stands is not the one we mean.
            [sys.executable, "-P", "-m", "actors", command, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
    except subprocess.TimeoutExpired as late:
        raise NodeError(f"'actors {command}' did not end within {COMMAND_S:g} s") from late
    lines = done.stdout.splitlines()
    if not lines:
        raise NodeError(f"'actors {command}' ended with {done.returncode}: {done.stderr[-2000:]}")
    last: dict[str, Any] = msgspec.json.decode(lines[-1])
    if "error" in last:
        raise _error(last["error"]["code"], last["error"]["text"])
    return [msgspec.json.decode(line) for line in lines[-len(nodes) :]]


def _error(code: int, text: str) -> P2PGridError:
    """The error again, with its class and its text."""
    kinds = [P2PGridError]
    while kinds:
        kind = kinds.pop()
        if kind.code == code:
            error = kind.__new__(kind)
            error.args = (text,)
            return error
        kinds.extend(kind.__subclasses__())
    return NodeError(text)
