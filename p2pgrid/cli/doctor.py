"""``p2pgrid doctor``: which step on the way to a node fails, and what to do about it."""

from typing import Annotated

import typer

from p2pgrid.cli.output import Format, FormatOption, show_rows

COLUMNS = ("step", "outcome", "seconds", "found", "next")


def doctor(
    node: Annotated[
        str, typer.Argument(help="Multiaddr; or the name or peer id of a node that was met before.")
    ],
    user: Annotated[
        str | None,
        typer.Option(help="Whose key of the wallet to log in with. [default: the first]"),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say which step on the way to a node fails, within ten seconds.

    The error of that step is the error of this command.
    """
    from p2pgrid.client.connect import Client  # noqa: PLC0415 libp2p, which other commands spare
    from p2pgrid.client.doctor import diagnose  # noqa: PLC0415

    client = Client()
    try:
        findings = diagnose(client, node, user=user)
    finally:
        client.close()
    rows = [
        {
            "step": it.step,
            "outcome": it.outcome,
            "seconds": round(it.seconds, 2),
            "found": it.found,
            "next": it.advice,
        }
        for it in findings
    ]
    show_rows(rows, columns=COLUMNS, output=output)
    for finding in findings:
        if finding.error is not None:
            raise finding.error
