"""Tables print whole, cut long cells in display only, and let nobody write to the terminal."""

import pandas as pd

from p2pgrid.client.tables import Table, table

COLUMNS = ["name", "id", "about"]
LONG = "word " * 100


def _made(about: str = LONG, note: str = "") -> Table:
    row = {"name": "NHS", "id": 7, "about": about}
    return table([row], COLUMNS, index="name", note=note)


def test_a_long_cell_is_cut_in_display_only() -> None:
    made = _made()
    assert LONG not in repr(made)
    assert LONG.strip() not in made._repr_html_()
    assert "word word" in repr(made)
    assert made.iloc[0].about == LONG
    assert made.loc["NHS", "about"] == LONG


def test_all_rows_and_columns_are_shown() -> None:
    names = [f"column{number}" for number in range(60)]
    made = table([dict.fromkeys(names, row) for row in range(200)], names)
    lines = repr(made).splitlines()
    assert len(lines) == 201
    assert all(name in lines[0] for name in names)
    assert made._repr_html_().count("<tr") == 201


def test_a_table_without_rows_has_its_columns() -> None:
    made = table([], COLUMNS, index="name")
    assert list(made.columns) == ["id", "about"]
    assert made.index.name == "name"
    assert len(made) == 0
    assert repr(made) == "name  id  about"
    assert repr(table([], COLUMNS)) == "name  id  about"


def test_the_note_is_shown_and_stays_with_parts_of_the_table() -> None:
    made = _made(note="offline <now>")
    assert repr(made).endswith("\noffline <now>")
    assert "offline &lt;now&gt;" in made._repr_html_()
    assert made[made.id > 3].note == "offline <now>"
    assert isinstance(made.head(1), Table)
    assert isinstance(made, pd.DataFrame)


def test_a_note_may_have_several_lines() -> None:
    made = _made(note="AMA: no answer\nCDC: \x1b[2J")
    assert repr(made).endswith("\nAMA: no answer\nCDC: \N{REPLACEMENT CHARACTER}[2J")
    assert made._repr_html_().count("<p>") == 2


def test_control_characters_and_markup_of_others_do_nothing() -> None:
    made = _made("\x1b[31mred\x07 <script>")
    assert "\x1b" not in repr(made)
    assert "\x07" not in repr(made)
    assert "<script>" not in made._repr_html_()
    assert made.iloc[0].about == "\x1b[31mred\x07 <script>"


def test_texts_inside_of_other_cells_do_nothing_either() -> None:
    row = {"tags": ("\x1b[2J",), "of": {"<script>": "\x1b"}, "\x1b[2J": 1, "name": "\x1b"}
    made = table([row], list(row), index="name")
    assert "\x1b" not in repr(made)
    assert "<script>" not in made._repr_html_()
    assert made.iloc[0].tags == ("\x1b[2J",)
