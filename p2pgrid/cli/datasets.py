"""``p2pgrid datasets``: what an owner publishes."""

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from p2pgrid.cli.output import Format, FormatOption, show_record, show_text
from p2pgrid.client import launch, node_commands
from p2pgrid.config import default_home

if TYPE_CHECKING:
    from p2pgrid.client.connect import Client
    from p2pgrid.client.domain import DomainClient
    from p2pgrid.client.import_plan import ImportPlan

NOTHING = "nothing was published"
FILL_IN = "nothing was published: save the code book, fill it in, and give it with --code-book"

BookOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="TOML file that says what the columns mean. [default: one to fill in is printed]",
    ),
]
DomainOption = Annotated[
    str | None,
    typer.Option(
        help="Where to publish: an address or URL, the name of a domain on this machine, or the "
        "name or peer id of one that was met before."
    ),
]
UserOption = Annotated[
    str | None, typer.Option(help="Whose key of the wallet to use. [default: the first]")
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(help="A user who may take the values home. Repeatable. [default: nobody]"),
]
SplitOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="A file with the rows of this split."),
]

app = typer.Typer(help="The datasets of a domain.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keeps ``import`` a word of the command line while it is the only command here."""


@app.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A .csv or .parquet file with the rows."),
    ],
    code_book: BookOption = None,
    domain: DomainOption = None,
    *,
    user: UserOption = None,
    allow: AllowOption = None,
    dev: SplitOption = None,
    test: SplitOption = None,
    announce: Annotated[
        bool, typer.Option("--announce", help="Tell the DHT the tags, so that all can find it.")
    ] = False,
    keep_file: Annotated[
        bool, typer.Option("--keep-file", help="Keep FILE beside the data, for owners only.")
    ] = False,
    clip: Annotated[
        bool, typer.Option("--clip", help="Move values outside of the bounds to the next bound.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show everything, publish nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Publish without asking.")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Publish a file. All that will be public is shown, and you are asked, before it is sent.

    Without a code book: print one to fill in, made of the names of the columns and of no value.
    """
    if code_book is None:
        if yes:
            raise typer.BadParameter("what --yes publishes has to be described by a --code-book")
        return _show_template(file, output=output)
    where = None if dry_run else _destination(domain, yes=yes, output=output)
    files = {"train": file, "dev": dev, "test": test}
    raw = file.read_bytes() if keep_file else None
    plan = read_plan(code_book, {s: it for s, it in files.items() if it}, clip=clip, raw=raw)
    if output is Format.TABLE:
        show_text(f"{plan!r}\n\n")
    if where is None or not (yes or typer.confirm(f"Publish it at {where}?")):
        return _show_outcome(plan, {"published": False}, note=NOTHING, output=output)
    done = _publish(plan, where, user=user, allowed_users=allow or [], announce=announce)
    return _show_outcome(plan, {"published": True, **done}, note="", output=output)


def read_plan(
    code_book: Path, files: Mapping[str, Path], *, clip: bool, raw: bytes | None
) -> "ImportPlan":
    """What the book and the files of the splits would publish; see ``plan_import``."""
    from p2pgrid.client.codebook import read_code_book  # noqa: PLC0415 numpy is slow to load
    from p2pgrid.client.import_plan import plan_import  # noqa: PLC0415
    from p2pgrid.client.table_files import read_file  # noqa: PLC0415

    book = read_code_book(code_book.read_bytes())
    tables = {split: read_file(path, leave_out=book.unread) for split, path in files.items()}
    return plan_import(book, tables, clip=clip, raw=raw)


def find_domain(client: "Client", text: str) -> "DomainClient":
    """The domain that somebody means by an address, a URL, a name or a peer id.

    Raises:
        UnknownPeerError: no such node is on this machine or was met before.
        P2PGridError: see ``Client.connect``.
    """
    from p2pgrid.client.doctor import find  # noqa: PLC0415 libp2p, which only publishing needs
    from p2pgrid.client.domain import DomainClient  # noqa: PLC0415

    if "/" in text:
        found = client.connect(text)
        if not isinstance(found, DomainClient):
            raise typer.BadParameter(f"{text} is a network; datasets are published at domains")
        return found
    place = default_home() / "nodes" / text
    if launch.is_made(place):
        status = node_commands.on_node("status", place)
        return client.domain(status["peer_id"], text, status["addresses"])
    peer_id, addresses = find(text, client.home)
    return client.domain(peer_id, text, addresses)


def _destination(domain: str | None, *, yes: bool, output: Format) -> str:
    """The domain; refuses what could only publish unseen, before anything is read."""
    if domain is None:
        raise typer.BadParameter("give --domain, or --dry-run to see what would be public")
    if not yes and (output is Format.JSON or not sys.stdin.isatty()):
        raise typer.BadParameter("nobody can be asked here: give --yes, or --dry-run")
    return domain


def _publish(
    plan: "ImportPlan", domain: str, *, user: str | None, **settings: Any
) -> dict[str, Any]:
    from p2pgrid.client.connect import Client  # noqa: PLC0415 libp2p

    with closing(Client()) as client:
        owned = find_domain(client, domain).login(user)
        made = owned.publish_dataset(plan.dataset, **settings)
        return {"domain": domain, "id": made.id, "version": made.version}


def _show_template(file: Path, *, output: Format) -> None:
    from p2pgrid.client.book_template import code_book_template  # noqa: PLC0415 numpy
    from p2pgrid.client.table_files import declared_types  # noqa: PLC0415

    template = code_book_template(declared_types(file))
    if output is Format.JSON:
        show_record({"published": False, "code_book": template}, output=output, note=FILL_IN)
    else:
        show_text(template)


def _show_outcome(
    plan: "ImportPlan", done: Mapping[str, Any], *, note: str, output: Format
) -> None:
    """What became of it; programs, which have not seen the plan, get that too."""
    planned = plan.described if output is Format.JSON else {}
    show_record({**done, **planned}, output=output, note=note)
