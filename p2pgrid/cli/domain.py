"""``p2pgrid domain``: the node of somebody who has data."""

import re
from pathlib import Path
from typing import Annotated

import typer

from p2pgrid.cli import nodes
from p2pgrid.cli.output import Format, FormatOption, show_record, show_rows
from p2pgrid.client import launch, node_commands

LATER = "later"

app = typer.Typer(help="A domain: a node whose data stays with its owner.", no_args_is_help=True)


def check_owner(key: str | None) -> str | None:
    """A public key, or the word that puts it off, which the layers below know as ``""``."""
    if key == LATER:
        return ""
    if key is not None and not re.fullmatch("[0-9a-f]{64}", key):
        raise typer.BadParameter(f"expected 64 lower-case hexadecimal characters, or '{LATER}'")
    return key


@app.command()
def init(
    name: nodes.NewName,
    directory: nodes.DirectoryOption = None,
    *,
    host: nodes.HostOption = None,
    port: nodes.PortOption = None,
    bulk_port: nodes.BulkPortOption = None,
    announce: nodes.AnnounceOption = None,
    network: nodes.NetworksOption = None,
    bootstrap: nodes.BootstrapOption = None,
    network_key: nodes.NetworkKeyOption = None,
    relayed: nodes.RelayedOption = None,
    proxy: nodes.ProxyOption = None,
    signup: nodes.SignupOption = None,
    isolation: nodes.IsolationOption = None,
    num_cpus: nodes.CpusOption = None,
    num_gpus: nodes.GpusOption = None,
    resources: nodes.ResourcesOption = None,
    metrics_port: nodes.MetricsPortOption = None,
    http_host: nodes.HttpHostOption = None,
    http_port: nodes.HttpPortOption = None,
    log_level: nodes.LogLevelOption = None,
    owner_key: Annotated[
        str | None,
        typer.Option(
            callback=check_owner,
            metavar=f"HEX|{LATER}",
            help="Public key of the owner. "
            f"[default: of a new key in the wallet here; '{LATER}': by another init]",
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a domain; it does not run yet.

    One that exists keeps its key, its data and its owner; the settings that are given replace
    those that it has at its next start.
    """
    settings = nodes.given(
        host=host,
        port=port,
        bulk_port=bulk_port,
        announce=announce,
        networks=network,
        bootstrap=bootstrap,
        network_key=network_key,
        relayed=relayed,
        proxy=proxy,
        signup=signup,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        resources=resources,
        metrics_port=metrics_port,
        http_host=http_host,
        http_port=http_port,
        log_level=log_level,
        isolation=isolation,
    )
    nodes.make("domain", name, directory, settings=settings, output=output, owner_key=owner_key)


@app.command()
def claim(
    address: Annotated[str, typer.Argument(help="Multiaddr of the domain.")],
    token: Annotated[
        str, typer.Argument(metavar="SETUP_TOKEN", help="What 'start' has shown, once.")
    ],
    user: Annotated[str, typer.Option(help="Name of the key in the wallet here.")] = launch.OWNER,
    output: FormatOption = Format.TABLE,
) -> None:
    """Become the first owner of a domain that has none: a key in the wallet here will be its."""
    from p2pgrid.client.default import default_client  # noqa: PLC0415 the network is heavy

    domain = default_client().claim(address, token, user)
    show_record({"domain": domain.name, "user": user}, output=output, note="it is yours")


@app.command()
def revoke(
    shared: Annotated[
        str, typer.Argument(metavar="TEXT_OR_ID", help="What was shared, or the id of a link.")
    ],
    address: Annotated[
        str | None, typer.Option(help="Multiaddr of the domain. [default: as in the text]")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Take back what was shared, with all that others made of it; work by it ends.

    Owners may take back anything, others what their key in the wallet here gave.
    """
    from p2pgrid.client.default import default_client  # noqa: PLC0415 the network is heavy

    default_client().revoke(shared, address)
    show_record({"revoked": shared[:40]}, output=output, note="in effect at once, and for good")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A Python file with classes to export.")],
    name: nodes.KnownName = None,
    directory: nodes.DirectoryOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Export the actor classes of a file: accounts of the domain may make and call them.

    The file is run to check it, and copied into the node's directory; a node that runs offers it
    at once. Its code has all rights of the domain.
    """
    _show_exports("export", name, directory, str(file.absolute()), output=output)


@app.command()
def unexport(
    file: Annotated[str, typer.Argument(help="The name of the file, as 'exports' shows it.")],
    name: nodes.KnownName = None,
    directory: nodes.DirectoryOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Export the classes of a file no longer; actors that live go on."""
    _show_exports("unexport", name, directory, file, output=output)


@app.command()
def exports(
    name: nodes.KnownName = None,
    directory: nodes.DirectoryOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show the actor classes that a domain exports, and who may use them."""
    _show_exports("exports", name, directory, output=output)


def _show_exports(
    command: str, name: str | None, directory: Path | None, *arguments: str, output: Format
) -> None:
    answer = node_commands.on_node(command, nodes.place(name, directory), *arguments)
    columns = ("name", "file", "methods", "users")
    show_rows(answer["classes"], columns=columns, output=output)


nodes.add_steps(app)
