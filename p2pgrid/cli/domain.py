"""``p2pgrid domain``: the node of somebody who has data."""

import re
from typing import Annotated

import typer

from p2pgrid.cli import nodes
from p2pgrid.cli.output import Format, FormatOption, show_record

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
    isolation: nodes.IsolationOption = None,
    num_cpus: nodes.CpusOption = None,
    num_gpus: nodes.GpusOption = None,
    resources: nodes.ResourcesOption = None,
    metrics_port: nodes.MetricsPortOption = None,
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
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        resources=resources,
        metrics_port=metrics_port,
        log_level=log_level,
        isolation=isolation,
    )
    nodes.make("domain", name, directory, settings=settings, output=output, owner_key=owner_key)


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
    from p2pgrid.client.connect import default_client  # noqa: PLC0415 the network is heavy

    default_client().revoke(shared, address)
    show_record({"revoked": shared[:40]}, output=output, note="in effect at once, and for good")


nodes.add_steps(app)
