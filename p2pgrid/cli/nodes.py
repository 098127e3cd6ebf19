"""What commands for domains and networks share: where a node lives, and the steps of its life."""

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from p2pgrid.cli.output import Format, FormatOption, show_record
from p2pgrid.cli.wallet import open_wallet
from p2pgrid.client import launch, node_commands
from p2pgrid.config import default_home
from p2pgrid.net.key_file import home_key

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
CLAIM = (
    "nobody owns it yet; within a day, once, and nowhere else shown: "
    "p2pgrid domain claim ADDRESS SETUP_TOKEN"
)
NEXT_START = "takes effect at its next start"
KEPT = f"exists: its key, its data and an owner are kept, what is given {NEXT_START}"


def check_name(name: str | None) -> str | None:
    """A name that is a directory's as well."""
    if name is not None and not NAME.fullmatch(name):
        raise typer.BadParameter("letters, digits, '.', '_' and '-', at most 63 of them")
    return name


def check_host(host: str | None) -> str | None:
    """The text of an IPv4 address."""
    try:
        return host and str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def check_resources(text: str | None) -> str | None:
    """The text of a JSON object of amounts."""
    try:
        msgspec.json.decode(text or "{}", type=dict[str, float])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f'{error}; expected JSON such as {{"scanner": 1}}') from error
    return text


class Isolation(StrEnum):
    """How a node is kept from the others on this machine; see ``p2pgrid.launch``."""

    CLUSTER = "cluster"
    ACTORS = "actors"
    PACKED = "packed"


NewName = Annotated[str, typer.Argument(callback=check_name, help="The node's name.")]
KnownName = Annotated[
    str | None,
    typer.Argument(callback=check_name, help="The node in $P2PGRID_HOME/nodes/NAME."),
]
DirectoryOption = Annotated[
    Path | None, typer.Option("--directory", help="Where the node keeps everything.")
]
HostOption = Annotated[
    str | None,
    typer.Option(
        callback=check_host,
        help="IPv4 address to listen on, which others are told as well. [default: 127.0.0.1]",
    ),
]
PortOption = Annotated[
    int | None, typer.Option(min=1, max=65535, help="TCP port to listen on. [default: a free one]")
]
BulkPortOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="TCP port for large arrays, on the same host; 0: any. [default: 0]",
    ),
]
AnnounceOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Multiaddr to tell others instead of host and port: behind a NAT, or with "
        "--host=0.0.0.0. Repeatable."
    ),
]
BootstrapOption = Annotated[
    list[str] | None,
    typer.Option(help="Multiaddr of a peer through which to enter the DHT. Repeatable."),
]
NetworksOption = Annotated[
    list[str] | None, typer.Option("--network", help="Multiaddr of a network to join. Repeatable.")
]
NetworkKeyOption = Annotated[
    Path | None,
    typer.Option(
        help="Key file of a closed network to be in; it is copied. "
        "[default: network.key in $P2PGRID_HOME, if there is one]"
    ),
]
ProxyOption = Annotated[
    str | None,
    typer.Option(help="URL of an HTTP proxy through which all its connections go."),
]
RelayedOption = Annotated[
    bool | None,
    typer.Option(
        "--relayed/--direct",
        help="Takes no connections: others reach it by the relays of its networks. "
        "[default: direct]",
    ),
]
SignupOption = Annotated[
    Literal["open", "closed"] | None,
    typer.Option(help="open: people may make accounts by a password. [default: closed]"),
]
RelayPortOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="TCP port where it relays for domains; 0: any. [default: none]"
    ),
]
WebsocketPortOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="The same by WebSocket over TLS, best on 443; 0: any. [default: none]",
    ),
]
CpusOption = Annotated[int | None, typer.Option(min=0, help="CPUs that it offers. [default: 1]")]
GpusOption = Annotated[int | None, typer.Option(min=0, help="GPUs that it offers. [default: 0]")]
ResourcesOption = Annotated[
    str | None, typer.Option(callback=check_resources, help="JSON of further Ray resources.")
]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port on loopback for its metrics. [default: a free one]"),
]
HttpHostOption = Annotated[
    str | None,
    typer.Option(
        callback=check_host,
        help="IPv4 address on which it serves its document over HTTP. [default: 127.0.0.1]",
    ),
]
HttpPortOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Port for that, to put a web server before; 0: any. [default: 0]"
    ),
]
LogLevelOption = Annotated[
    Literal["debug", "info"] | None,
    typer.Option(help="debug: a line for every request. [default: info]"),
]


IsolationOption = Annotated[
    Isolation | None,
    typer.Option(
        help="A Ray cluster of its own, or actors or a part of a process in one that nodes share: "
        "for trials, because they can reach one another's data. [default: cluster]"
    ),
]


def place(name: str | None, directory: Path | None) -> Path:
    """The directory of a node, from its name or its path."""
    if directory is not None:
        return directory
    if name is None:
        raise typer.BadParameter("give NAME or --directory")
    return default_home() / "nodes" / name


def given(**settings: object) -> dict[str, Any]:
    """The settings that were on the command line."""
    chosen: dict[str, Any] = {key: value for key, value in settings.items() if value is not None}
    if "network_key" in chosen:
        chosen |= launch.in_network(chosen["network_key"])
    if "isolation" in chosen:
        chosen |= launch.isolated(chosen["isolation"].value, default_home())
    if "resources" in chosen:
        chosen["resources"] = msgspec.json.decode(chosen["resources"])
    return chosen


def make(
    kind: launch.Kind,
    name: str,
    directory: Path | None,
    *,
    settings: Mapping[str, Any],
    output: Format,
    owner_key: str | None = None,
) -> None:
    """Makes a node, or changes the given settings of one that exists; shows it."""
    where = place(name, directory)
    is_new = not launch.is_made(where)
    if is_new:
        settings = {**launch.in_network(home_key(default_home())), **settings}
    else:
        launch.change_settings(where, name=name, kind=kind, settings=settings)
    launch.make_nodes(
        {name: where},
        kind=kind,
        wallet=open_wallet(),
        settings=settings,
        owner_key=owner_key,
    )
    note = _made(kind, owner_key) if is_new else KEPT
    show_record(node_commands.on_node("show", where), output=output, note=note)


def start(
    name: KnownName = None, directory: DirectoryOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Start a node and wait until it answers; one that runs is left as it is."""
    status = node_commands.on_node("start", place(name, directory))
    show_record(status, output=output, note=CLAIM if status.get("setup_token") else "")


def stop(
    name: KnownName = None, directory: DirectoryOption = None, output: FormatOption = Format.TABLE
) -> None:
    """End all processes of a node; its data stays. Twice does no harm."""
    show_record(node_commands.on_node("stop", place(name, directory)), output=output)


def status(
    name: KnownName = None, directory: DirectoryOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Show a node: who it is, whether it runs, and the addresses to give to others."""
    show_record(node_commands.on_node("status", place(name, directory)), output=output)


def add_steps(app: typer.Typer) -> None:
    """Gives a group the commands that are the same for every kind of node."""
    for step in (start, stop, status):
        app.command()(step)


def _made(kind: str, owner_key: str | None) -> str:
    if kind == "domain" and owner_key is None:
        return f"made; its owner's key is in {default_home() / 'wallet.json'}"
    if owner_key == "":
        return (
            "made; nobody owns it yet: name the owner by another init with --owner-key, "
            "or by the setup token that its start shows"
        )
    return "made"
