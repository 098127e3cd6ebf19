"""The entry of the command line, and the one place that turns errors into exit codes."""

import sys
import traceback
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from p2pgrid.cli import datasets, doctor, domain, network, networks, wallet
from p2pgrid.cli.output import complain
from p2pgrid.errors import P2PGridError

REFUSED, USAGE, UNREACHABLE, FAILED = 1, 2, 3, 4
EXIT_CODES = {1: USAGE, 2: UNREACHABLE, 3: REFUSED, 5: REFUSED}
"""By family of errors, the hundreds of ``P2PGridError.code``; the others fail."""


@dataclass(slots=True)
class Invocation:
    """What holds for a whole call of the command."""

    debug: bool = False


class Border(TyperGroup):
    """The outermost group: no error leaves it, only exit codes."""

    @override
    def main(self, *args: Any, **named: Any) -> Any:
        """Runs a command line; see ``click.Command.main``."""
        invocation = Invocation()
        try:
            return super().main(*args, obj=invocation, **named)
        except Exception as error:  # noqa: BLE001 the border: what got here is for people to read
            if invocation.debug:
                traceback.print_exc()
            complain(error)
            sys.exit(exit_code(error))


def exit_code(error: Exception) -> int:
    """The exit code for an error; see the table in ``docs/cli.md``."""
    if not isinstance(error, P2PGridError):
        return FAILED
    return EXIT_CODES.get(error.code // 100, FAILED)


HELP = """Peer-to-peer grid for private data science.

\b
Exit codes:
  0  done
  1  refused: ask the owner (P2PG-3xx, P2PG-5xx)
  2  usage or set-up: mend the command, the wallet or the node (P2PG-1xx)
  3  unreachable: look at the link, perhaps try again (P2PG-2xx)
  4  anything else
"""

app = typer.Typer(
    cls=Border,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they would show the locals of frames
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(datasets.app, name="datasets")
app.add_typer(domain.app, name="domain")
app.add_typer(network.app, name="network")
app.add_typer(networks.app, name="networks")
app.add_typer(wallet.app, name="wallet")
app.command()(doctor.doctor)


@app.callback(help=HELP)
def entry(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """What holds for every command."""
    context.obj.debug = debug


def main() -> None:
    """Runs the command line of this process."""
    app(prog_name="p2pgrid")
