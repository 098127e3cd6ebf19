"""``p2pgrid networks``: the networks that are known here."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from p2pgrid.cli.output import Format, FormatOption, show_rows

if TYPE_CHECKING:
    from p2pgrid.client.networks import Networks
    from p2pgrid.client.tables import Table

app = typer.Typer(help="The networks that you know: list, add, forget.")


@app.callback(invoke_without_command=True)
def list_networks(context: typer.Context, output: FormatOption = Format.TABLE) -> None:
    """Show all known networks, asked now; or add one, or forget one."""
    if context.invoked_subcommand is None:
        _show(lambda networks: networks.table(), output)


@app.command()
def add(
    address: Annotated[str, typer.Argument(help="URL or multiaddr of the network.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Connect to a network and keep it in the list; twice is as once."""
    _show(lambda networks: networks.add(address), output)


@app.command()
def forget(
    name: Annotated[str, typer.Argument(help="Its name, peer id or address.")],
    output: FormatOption = Format.TABLE,
) -> None:
    """Take a network out of the list."""
    _show(lambda networks: networks.forget(name), output)


def _show(step: "Callable[[Networks], Table]", output: Format) -> None:
    from p2pgrid.client.default import default_client  # noqa: PLC0415 the network is heavy

    answer = step(default_client().network_list)
    rows = answer.reset_index().to_dict("records")
    columns = ("name", "id", "datasets", "models", "domains", "online", "registered")
    show_rows(rows, columns=columns, output=output, note=answer.note)
