"""``p2pgrid wallet``: the keys with which a person logs in to domains."""

from typing import Annotated

import typer

from p2pgrid.cli.output import Format, FormatOption, show_record, show_rows
from p2pgrid.client.wallet import Wallet, WalletKey, passphrase_from_environment
from p2pgrid.config import default_home
from p2pgrid.errors import AddressError
from p2pgrid.ids import PeerId, public_key_of

COLUMNS = ("network", "domain", "user", "pubkey", "prikey")

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
