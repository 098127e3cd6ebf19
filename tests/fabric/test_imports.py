"""``p2pgrid datasets import`` on a grid in memory: what is sent, to whom, and what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from p2pgrid import DomainClient
from p2pgrid.cli.main import REFUSED, USAGE, app
from p2pgrid.client import connect
from p2pgrid.errors import GetNotPermittedError
from tests.births import BOOK, PRIVATE, ROWS, WEIGHTS, write_births
from tests.fabric.conftest import FabricNode, Grid


class Wizard:
    """The command, run by somebody at a domain."""

    def __init__(
        self, grid: Grid, node: FabricNode, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._grid, self._node, self._folder = grid, node, folder
        self._patch = monkeypatch
        self.err = ""

    def run(self, *options: str, person: str = "owner-bob", **births: str) -> Any:
        """The exit code, or the document that was printed."""
        file, book = write_births(self._folder, **births)
        self._patch.setattr(connect, "Client", lambda: self._grid.client(person))
        line = ["datasets", "import", str(file), f"--code-book={book}", "--yes", "--format=json"]
        result = CliRunner().invoke(app, [*line, f"--domain={self._node.address}", *options])
        self.err = result.stderr
        return json.loads(result.stdout) if result.exit_code == 0 else result.exit_code


@pytest.fixture
def wizard(grid: Grid, bob: FabricNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wizard:
    return Wizard(grid, bob, tmp_path, monkeypatch)


def test_a_file_is_published_as_its_code_book_says(
    wizard: Wizard, grid: Grid, owner: DomainClient
) -> None:
    done = wizard.run("--allow=ana")
    assert (done["published"], done["version"]) == (True, 1)
    ana, eve = grid.user(owner, "ana"), grid.user(owner, "eve")
    (found,) = ana.search("#birth-records")
    assert (found.id, found.name) == (done["id"], "Birth records")
    assert found.schema is not None
    assert done["public"]["schema"].endswith(f"({found.schema.id})")
    table = found["data"]
    assert table.get_copy()["Weight"].tolist() == WEIGHTS
    assert set(table.mock(seed=1)["sex"]) <= {"female", "male"}
    with pytest.raises(GetNotPermittedError):
        eve.search("#birth-records")[0]["data"].get_copy()


def test_what_others_may_read_holds_no_value_and_no_key(
    wizard: Wizard, grid: Grid, owner: DomainClient
) -> None:
    wizard.run("--keep-file")
    (found,) = grid.user(owner, "eve").search()
    with pytest.raises(GetNotPermittedError):
        _ = found.raw
    shown = repr(found) + repr(found.record) + repr(found["data"])
    assert not any(private in shown for private in PRIVATE)


def test_the_file_is_kept_for_owners_where_they_say_so(wizard: Wizard, owner: DomainClient) -> None:
    wizard.run("--keep-file")
    assert owner.search()[0].raw == ROWS.encode()


def test_the_same_name_again_is_the_next_version(wizard: Wizard, owner: DomainClient) -> None:
    first = wizard.run()
    again = wizard.run(rows=ROWS + "cleo,male,5,94112\n")
    assert again["version"] == first["version"] + 1
    assert {it.id for it in owner.search()} >= {again["id"]}


def test_who_is_no_owner_publishes_nothing(wizard: Wizard, grid: Grid, owner: DomainClient) -> None:
    grid.user(owner, "ana")
    assert wizard.run(person="ana") == REFUSED
    assert "P2PG-303" in wizard.err
    assert owner.search() == ()


def test_a_dry_run_publishes_nothing_whatever_else_is_said(
    wizard: Wizard, owner: DomainClient
) -> None:
    assert wizard.run("--dry-run")["published"] is False
    assert owner.search() == ()


def test_a_domain_that_was_met_before_is_known_by_name(wizard: Wizard) -> None:
    assert wizard.run()["published"]
    assert wizard.run("--domain=bob")["version"] == 2


def test_a_network_has_no_datasets_of_its_own(
    wizard: Wizard, grid: Grid, owner: DomainClient
) -> None:
    city = grid.launch("city", "network")
    assert wizard.run(f"--domain={city.address}") == USAGE
    assert "is a network" in wizard.err
    assert owner.search() == ()


def test_values_that_do_not_fit_are_not_sent(wizard: Wizard, owner: DomainClient) -> None:
    wizard.run(book=BOOK.replace("high = 10", "high = 3"))
    assert "column 'Weight': 2 of 3 values lie outside [0.0, 3.0]" in wizard.err
    assert not any(private in wizard.err for private in PRIVATE)
    assert owner.search() == ()
