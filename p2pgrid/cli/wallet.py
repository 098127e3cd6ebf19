"""``p2pgrid wallet``: the keys with which a person logs in to domains."""

from pathlib import Path
from typing import Annotated

import typer

from p2pgrid.cli.output import Format, FormatOption, show_record, show_rows
from p2pgrid.client.passphrase import passphrase_from_environment, passphrase_in
from p2pgrid.client.wallet import Conflicts, Wallet, WalletKey
from p2pgrid.config import default_home
from p2pgrid.errors import AddressError
from p2pgrid.ids import PeerId, public_key_of

COLUMNS = ("network", "domain", "user", "pubkey", "prikey")

DomainArgument = Annotated[
    str, typer.Argument(metavar="DOMAIN", help="Peer id, or the name that 'list' shows.")
]
UserOption = Annotated[str | None, typer.Option(help="Whose key. [default: the oldest]")]
PassphraseOption = Annotated[
    Path, typer.Option("--passphrase-file", help="Its first line is the passphrase of FILE.")
]

app = typer.Typer(help="The keys with which you log in to domains.", no_args_is_help=True)


@app.command("ls", hidden=True)
@app.command("list")
def list_keys(output: FormatOption = Format.TABLE) -> None:
    """Show all keys; the private halves stay hidden."""
    wallet = open_wallet()
    rows = [
        row | {"user": key.user, "peer_id": key.domain}
        for row, key in zip(wallet.rows(), wallet.keys(), strict=True)
    ]
    show_rows(rows, columns=COLUMNS, output=output)


@app.command()
def new(
    domain: Annotated[
        str, typer.Argument(metavar="PEER_ID_OR_ADDRESS", help="The domain that it is for.")
    ],
    user: Annotated[str, typer.Option(help="Tells apart several keys for one domain.")] = "",
    name: Annotated[str, typer.Option(help="What you call the domain.")] = "",
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a key, or show the one that exists; send its public half to the domain's owner."""
    key = open_wallet().new(peer_id_in(domain), user, name=name)
    show_record(_public(key), output=output, note="send the pubkey to the owner of the domain")


@app.command()
def reveal(
    domain: DomainArgument, user: UserOption = None, output: FormatOption = Format.TABLE
) -> None:
    """Show a private key; whoever sees it can be you at this domain."""
    prikey = open_wallet().reveal(domain, user)
    show_record({"domain": domain, "prikey": prikey}, output=output, note="keep it to yourself")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where the keys go; nothing is there yet.")],
    passphrase_file: PassphraseOption,
    domain: Annotated[
        str | None, typer.Option(help="Only the key for this one. [default: all]")
    ] = None,
    user: UserOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Write keys into a new file, encrypted: a backup, or for another machine."""
    passphrase = passphrase_in(passphrase_file)
    keys = open_wallet().export(file, passphrase, domain=domain, user=user)
    show_record({"file": str(file), "keys": keys}, output=output, note="encrypted")


@app.command("import")
def import_keys(
    file: Annotated[Path, typer.Argument(help="What 'export' has written.")],
    passphrase_file: PassphraseOption,
    conflicts: Annotated[
        Conflicts,
        typer.Option(help="Where the wallet has another key: import nothing, keep it, or not."),
    ] = "refuse",
    output: FormatOption = Format.TABLE,
) -> None:
    """Take the keys of an exported file into the wallet, all of them or none."""
    wallet, passphrase = open_wallet(), passphrase_in(passphrase_file)
    imported = wallet.import_(file, passphrase, conflicts=conflicts)
    show_record(imported._asdict(), output=output)


@app.command()
def passphrase(
    new_file: Annotated[
        Path, typer.Option("--new-file", help="Its first line is the new passphrase.")
    ],
    output: FormatOption = Format.TABLE,
) -> None:
    """Encrypt the wallet by a passphrase, or by another one.

    The one that it has is read as always, from the file that $P2PGRID_WALLET_PASSPHRASE_FILE names.
    """
    open_wallet().change_passphrase(passphrase_from_environment(), passphrase_in(new_file))
    note = "done; let $P2PGRID_WALLET_PASSPHRASE_FILE name a file with the new one"
    show_record({"wallet": str(default_home() / "wallet.json")}, output=output, note=note)


def peer_id_in(text: str) -> PeerId:
    """The peer id that a text is, or with which an address ends.

    Raises:
        AddressError: there is none.
    """
    peer_id = PeerId(text.rpartition("/p2p/")[2])
    try:
        public_key_of(peer_id)
    except ValueError as error:
        raise AddressError(address=text) from error
    return peer_id


def _public(key: WalletKey) -> dict[str, str]:
    return {
        "domain": key.name,
        "peer_id": key.domain,
        "user": key.user,
        "pubkey": key.public_key,
    }


def open_wallet() -> Wallet:
    """The wallet of this person, in ``$P2PGRID_HOME``."""
    return Wallet(default_home() / "wallet.json", passphrase=passphrase_from_environment())
