"""``python -m actors``: what ``p2pgrid.launch`` and the command line run to reach a node.

Each call prints one line of JSON: the node's status, or the error's code and text.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.deploy import node_status, start_node, stop_node
from actors.layout import NodeDirectory, NodeStatus, settings_from
from p2pgrid.errors import P2PGridError

FAILED = 1
COMMANDS = {
    "init": "JSON of actors.layout.NodeSettings",
    "set": "JSON of the settings to change",
    "own": "public key of the owner, 64 hex characters",
    "join": "multiaddr of a network",
    "show": None,
    "start": None,
    "stop": None,
    "status": None,
}
"""The commands, with the help of the one argument that some have."""


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
    steps = {"start": start_node, "stop": stop_node, "status": node_status}
    if asked.command in steps:
        return steps[asked.command](directory)
    if asked.command == "init":
        directory.create(settings_from(msgspec.json.decode(asked.argument)))
    if asked.command == "set":
        directory.change(msgspec.json.decode(asked.argument))
    if asked.command == "own":
        directory.set_owner(asked.argument)
    if asked.command == "join":
        directory.join(asked.argument)
    return directory.status()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actors", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, argument in COMMANDS.items():
        command = commands.add_parser(name)
        command.add_argument("directory", type=Path)
        if argument is not None:
            command.add_argument("argument", help=argument)
    return parser


if __name__ == "__main__":
    sys.exit(main())
