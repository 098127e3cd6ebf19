"""``p2pgrid network``: the node that lists the datasets of domains."""

from pathlib import Path
from typing import Annotated

import typer

from p2pgrid.cli import nodes
from p2pgrid.cli.output import Format, FormatOption, show_record
from p2pgrid.client import launch
from p2pgrid.config import default_home
from p2pgrid.net import key_file

app = typer.Typer(help="A network: a node where domains list their datasets.", no_args_is_help=True)


@app.command()
def init(
    name: nodes.NewName,
    directory: nodes.DirectoryOption = None,
    *,
    host: nodes.HostOption = None,
    port: nodes.PortOption = None,
    announce: nodes.AnnounceOption = None,
    bootstrap: nodes.BootstrapOption = None,
    network_key: nodes.NetworkKeyOption = None,
    relay_port: nodes.RelayPortOption = None,
    websocket_port: nodes.WebsocketPortOption = None,
    proxy: nodes.ProxyOption = None,
    metrics_port: nodes.MetricsPortOption = None,
    http_host: nodes.HttpHostOption = None,
    http_port: nodes.HttpPortOption = None,
    log_level: nodes.LogLevelOption = None,
    isolation: nodes.IsolationOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a network; it does not run yet.

    One that exists keeps its key and its data; the settings that are given replace those that it
    has at its next start.
    """
    settings = nodes.given(
        host=host,
        port=port,
        announce=announce,
        bootstrap=bootstrap,
        network_key=network_key,
        relay_port=relay_port,
        websocket_port=websocket_port,
        proxy=proxy,
        metrics_port=metrics_port,
        http_host=http_host,
        http_port=http_port,
        log_level=log_level,
        isolation=isolation,
    )
    nodes.make("network", name, directory, settings=settings, output=output)


@app.command()
def join(
    address: Annotated[str, typer.Argument(help="Multiaddr of the network.")],
    name: nodes.KnownName = None,
    directory: nodes.DirectoryOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List a domain of this machine at a network, from the domain's next start on."""
    joined = launch.join_network(nodes.place(name, directory), address)
    show_record(joined, output=output, note=f"joining {address} {nodes.NEXT_START}")


@app.command()
def new_key(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The new file; one that exists is left as it is. "
            "[default: network.key in $P2PGRID_HOME, so that all there is in the network]"
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make the key of a closed network; give the file to its members, and to nobody else."""
    where = file or default_home() / key_file.NAME
    key_file.make_key(where)
    note = "made; whoever can read it is in the network"
    show_record({"key_file": str(where.absolute())}, output=output, note=note)


nodes.add_steps(app)
