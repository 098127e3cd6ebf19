"""``python -m actors``: what ``p2pgrid.launch`` and the command line run to reach a node.

Each call prints one line of JSON per node, its status; or one with an error's code and text.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from actors.deploy import nodes_status, start_nodes, stop_nodes
from actors.exports import Exports, ExportsStatus
from actors.layout import NodeDirectory, settings_from
from p2pgrid.errors import NodeError, P2PGridError

FAILED = 1
STEPS = {"start": start_nodes, "stop": stop_nodes, "status": nodes_status}
COMMANDS = {
    "init": "JSON of actors.layout.NodeSettings",
    "set": "JSON of the settings to change",
    "own": "public key of the owner, 64 hex characters",
    "join": "multiaddr of a network",
    "export": "a Python file with exported classes",
    "unexport": "the name of such a file",
    "exports": None,
    "show": None,
    "start": None,
    "stop": None,
    "status": None,
}
"""The commands, with what some need beside the directory of each node."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0, or 1 when it failed."""
    asked = _parser().parse_args(arguments)
    try:
        return _tell(_run(asked.command, asked.nodes), 0)
    except P2PGridError as error:
        return _tell([{"error": {"code": error.code, "text": str(error)}}], FAILED)


def _tell(answers: Sequence[object], status: int) -> int:
    for answer in answers:
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    return status


def _run(command: str, words: Sequence[str]) -> Sequence[Struct]:
    if command in STEPS:
        return STEPS[command]([NodeDirectory(Path(word)) for word in words])
    if COMMANDS[command] is None:
        return [_prepare(command, word) for word in words]
    return [_prepare(command, *pair) for pair in zip(words[::2], words[1::2], strict=True)]


def _prepare(command: str, place: str, argument: str = "") -> Struct:
    directory = NodeDirectory(Path(place))
    if command in {"export", "unexport", "exports"}:
        return _exports(command, directory, argument)
    if command == "init":
        directory.create(settings_from(msgspec.json.decode(argument)))
    if command == "set":
        directory.change(msgspec.json.decode(argument))
    if command == "own":
        directory.set_owner(argument)
    if command == "join":
        directory.join(argument)
    return directory.status()


def _exports(command: str, directory: NodeDirectory, argument: str) -> ExportsStatus:
    settings, exports = directory.settings(), Exports(directory.exports)
    if settings.kind != "domain":
        raise NodeError(f"{settings.name} is a {settings.kind}; only domains export classes")
    if command == "export":
        exports.add(Path(argument))
    if command == "unexport":
        exports.remove(argument)
    return exports.status()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m actors", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, argument in COMMANDS.items():
        words = "directory" if argument is None else f"directory and {argument}"
        command = commands.add_parser(name, help=f"{words}, of each node")
        command.add_argument("nodes", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main())
