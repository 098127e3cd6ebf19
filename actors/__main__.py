"""``python -m actors``: what ``p2pgrid.launch`` and the command line run to reach a node.

Each call prints one line of JSON: the node's status, or the error's code and text.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.deploy import node_status, start_node, stop_node
from actors.layout import NodeDirectory, NodeSettings, NodeStatus
from p2pgrid.errors import P2PGridError

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0, or 1 when it failed."""
    asked = _parser().parse_args(arguments)
    directory = NodeDirectory(asked.directory)
    try:
        return _tell(_run(asked, directory), 0)
    except P2PGridError as error:
        return _tell({"error": {"code": error.code, "text": str(error)}}, FAILED)


def _tell(answer: object, status: int) -> int:
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    return status


def _run(asked: argparse.Namespace, directory: NodeDirectory) -> NodeStatus:
    if asked.command == "init":
        directory.create(msgspec.json.decode(asked.settings, type=NodeSettings))
    if asked.command == "own":
        directory.set_owner(asked.key)
    if asked.command in {"init", "own", "show"}:
        return directory.status()
    if asked.command == "start":
        return start_node(directory)
    if asked.command == "stop":
        return stop_node(directory)
    return node_status(directory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actors", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("init", "own", "show", "start", "stop", "status"):
        command = commands.add_parser(name)
        command.add_argument("directory", type=Path)
        if name == "init":
            command.add_argument("settings", help="JSON of actors.layout.NodeSettings")
        if name == "own":
            command.add_argument("key", help="public key of the owner, 64 hex characters")
    return parser


if __name__ == "__main__":
    sys.exit(main())
