"""``p2pgrid datasets import``: what it shows, asks and refuses before anything is sent."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from p2pgrid.cli.main import FAILED, USAGE, app
from p2pgrid.client.connect import Client
from tests.births import BOOK, PRIVATE, ROWS, write_births


class Answer:
    """What a command line did; a program here has no network."""

    def __init__(self, *line: object) -> None:
        result = CliRunner().invoke(app, ["datasets", "import", *map(str, line)])
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    @property
    def json(self) -> Any:
        assert (self.code, self.err) == (0, "")
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may reach out."""

    def refused(_: Client) -> None:
        raise AssertionError("a peer was started")

    monkeypatch.setenv("P2PGRID_HOME", str(tmp_path))
    monkeypatch.setattr(Client, "_started_peer", refused)


@pytest.fixture
def births(tmp_path: Path) -> Path:
    return write_births(tmp_path)[0]


@pytest.fixture
def book(births: Path) -> Path:
    return births.with_suffix(".toml")


def test_without_a_code_book_one_is_printed_to_fill_in(births: Path) -> None:
    answer = Answer(births)
    assert (answer.code, answer.err) == (0, "")
    assert list(tomllib.loads(answer.out)["columns"]) == ["mother", "sex", "kg", "zip"]
    shown = Answer(births, "--format=json").json
    assert shown["code_book"] == answer.out
    assert not shown["published"]
    assert not any(private in answer.out for private in PRIVATE)


def test_a_dry_run_shows_all_that_would_be_public_and_no_value(births: Path, book: Path) -> None:
    answer = Answer(births, "--code-book", book, "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    shown, _ = answer.out.split("Stays private")
    for public in ("Birth records", "weighed by midwives", "#february", "[0.0, 10.0]", "train 3"):
        assert public in shown
    assert answer.out.endswith("nothing was published\n")
    assert not any(private in answer.out for private in PRIVATE)


def test_a_program_gets_the_same_as_one_document(births: Path, book: Path) -> None:
    book.write_text(BOOK.replace("high = 10", "high = 10\nmissing = 3.5"))
    answer = Answer(births, "--code-book", book, "--dry-run", "--format=json")
    plan = answer.json
    assert plan["published"] is False
    assert plan["public"]["name"] == "Birth records"
    assert [(column["column"], column["bounds"]) for column in plan["columns"]] == [
        ("Weight", "[0.0, 10.0]"),
        ("sex", "female, male"),
    ]
    assert (plan["dropped"], plan["entity"], plan["missing"]) == (["zip"], "mother", {"kg": "3.5"})
    assert not any(private in answer.out for private in PRIVATE)


def test_files_of_other_splits_are_read_as_well(tmp_path: Path, births: Path, book: Path) -> None:
    test = tmp_path / "test.csv"
    test.write_text(ROWS.replace("bert,male,4.0,94111\n", ""))
    line = (births, "--code-book", book, "--test", test, "--dry-run", "--format=json")
    assert Answer(*line).json["public"]["rows"] == "train 3, test 2"


def test_values_outside_of_the_bounds_are_told_by_column_count_and_bounds(
    births: Path, book: Path
) -> None:
    births.write_text(ROWS.replace("3.25", "32.5"))
    answer = Answer(births, "--code-book", book, "--dry-run")
    assert (answer.code, answer.out) == (FAILED, "")
    assert answer.err.startswith("p2pgrid: P2PG-421: column 'Weight': 1 of 3 values lie outside")
    assert "[0.0, 10.0]" in answer.err
    assert "32.5" not in answer.err
    assert Answer(births, "--code-book", book, "--dry-run", "--clip").code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--code-book", "births.toml"), "give --domain, or --dry-run"),
        (("--code-book", "births.toml", "--domain", "clinic"), "nobody can be asked here"),
        (("--yes", "--domain", "clinic"), "--code-book"),
        (("--code-book", "absent.toml", "--dry-run"), "does not exist"),
        (("--code-book", "births.toml", "--dry-run", "--dev", "absent.csv"), "does not exist"),
    ],
)
def test_what_could_only_be_published_unseen_is_refused(
    births: Path, book: Path, options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(book.parent)
    answer = Answer(births, *options)
    assert (answer.code, answer.out) == (USAGE, "")
    assert says in answer.err


def test_a_domain_that_nobody_met_is_a_matter_of_set_up(births: Path, book: Path) -> None:
    answer = Answer(births, "--code-book", book, "--domain", "nowhere", "--yes", "--format=json")
    assert (answer.code, answer.out) == (USAGE, "")
    assert "P2PG-131" in answer.err
