"""What can be exported, and how it is described to scientists."""
# ruff: noqa: ARG001, ARG002 signatures are what is tested

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import p2pgrid
from actors.__main__ import main
from actors.exports import Exports
from actors.layout import NodeDirectory, NodeSettings
from p2pgrid.errors import DuplicateError, NodeError, SchemaError
from p2pgrid.exports import exported
from p2pgrid.policy.calls import MethodRights
from p2pgrid.protocol.signatures import MethodInfo, Parameter

GOOD = """
import p2pgrid

@p2pgrid.export
class Adder:
    @p2pgrid.method
    def add(self, a: int, b: int = 1) -> int:
        return a + b
"""


@p2pgrid.export(allowed_users=["ann"])
class Model:
    """A model."""

    def __init__(self, width: int, name: str = "m") -> None:
        self.width, self.name = width, name

    @p2pgrid.method(allowed_users=("ann", "bea"), releases=True)
    def fit(self, x: NDArray[np.float64], y: np.ndarray | None = None) -> dict[str, float]:
        """Fits."""
        return {}

    @p2pgrid.method
    def predict(self, x: list[tuple[int, bytes]], more: Any, rest: list, d: dict) -> bool | None:  # type: ignore[type-arg]
        return None

    def hidden(self, unannotated) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Not exported, so nobody looks at it."""


def test_a_class_is_described_by_its_annotations() -> None:
    found = exported(Model)
    assert found is not None
    assert (found.info.name, found.info.doc, found.allowed) == ("Model", "A model.", ("ann",))
    assert found.info.parameters == (Parameter("width", "int"), Parameter("name", "str", True))
    fit, predict = found.info.methods
    assert fit == MethodInfo(
        "fit",
        (Parameter("x", "array"), Parameter("y", "array | None", True)),
        "dict[str, float]",
        "Fits.",
        True,
    )
    types = [it.type for it in predict.parameters]
    assert types == ["list[tuple[int, bytes]]", "any", "list[any]", "dict[str, any]"]
    assert predict.returns == "bool | None"
    assert found.methods == {"fit": MethodRights(("ann", "bea"), True), "predict": MethodRights()}


def test_a_class_without_a_constructor_takes_nothing_and_one_may_be_inherited() -> None:
    @p2pgrid.export
    class Plain:
        @p2pgrid.method
        def act(self) -> None: ...

    @p2pgrid.export
    class Wide(Model):
        pass

    assert exported(Plain).info.parameters == ()  # type: ignore[union-attr]
    assert [it.name for it in exported(Wide).info.parameters] == ["width", "name"]  # type: ignore[union-attr]


def test_a_subclass_of_an_exported_class_is_not_exported() -> None:
    assert exported(type("Sub", (Model,), {})) is None


class NotTravelling:
    """A type of one's own."""


def no_annotation(self: object, x) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def no_result(self: object, x: int): ...  # type: ignore[no-untyped-def]  # noqa: ANN201
def own_type(self: object, x: NotTravelling) -> None: ...
def own_result(self: object) -> list[NotTravelling]: ...  # type: ignore[empty-body]
def any_length(self: object, x: tuple[int, ...]) -> None: ...
def wrong_keys(self: object, x: dict[int, str]) -> None: ...
def stars(self: object, *x: int) -> None: ...
def double_stars(self: object, **x: int) -> None: ...
def by_name_only(self: object, *, x: int) -> None: ...
def unknown(self: object, x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def coroutine(self: object) -> None: ...
def generator(self: object) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (no_annotation, "x of C.act: needs an annotation"),
        (no_result, "C.act: needs an annotation of what it returns"),
        (own_type, "x of C.act: is a NotTravelling, which cannot travel"),
        (own_result, "the result of C.act: is a NotTravelling"),
        (any_length, "x of C.act: is a tuple"),
        (wrong_keys, "x of C.act: is a dict"),
        (stars, "x of C.act: has to be a plain parameter"),
        (double_stars, "x of C.act: has to be a plain parameter"),
        (by_name_only, "x of C.act: has to be a plain parameter"),
        (unknown, "C.act: has an annotation of nothing"),
        (coroutine, "C.act: is a coroutine or a generator"),
        (generator, "C.act: is a coroutine or a generator"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_name(
    function: Callable[..., Any], told: str
) -> None:
    with pytest.raises(SchemaError) as refused:
        p2pgrid.export(type("C", (), {"act": p2pgrid.method(function)}))
    assert told in str(refused.value)


def test_a_class_without_methods_and_names_in_a_text_are_refused() -> None:
    with pytest.raises(SchemaError, match="0 methods"):
        p2pgrid.export(type("C", (), {}))
    with pytest.raises(SchemaError, match="allowed_users"):
        p2pgrid.export(allowed_users="ann")(Model)


# --- files ------------------------------------------------------------------------------------


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(tmp_path / "exports")


def file(tmp_path: Path, code: str, name: str = "mine.py") -> Path:
    path = tmp_path / name
    path.write_text(code)
    return path


def test_an_exported_file_is_copied_for_its_owner_only(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    exports.add(file(tmp_path, GOOD))
    (tmp_path / "mine.py").unlink()
    assert list(exports.classes()) == ["Adder"]
    assert exports.load_class("Adder")().add(1) == 2
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "exports").iterdir()}
    assert modes == {0o600}
    (row,) = exports.status().classes
    assert row == type(row)("Adder", "mine.py", ("add",), ("every account",))


def test_a_file_takes_the_place_of_the_older_one_and_is_removed(
    exports: Exports, tmp_path: Path
) -> None:
    exports.add(file(tmp_path, GOOD))
    exports.add(file(tmp_path, GOOD.replace("Adder", "Better")))
    assert list(exports.classes()) == ["Better"]
    exports.remove("mine.py")
    exports.remove("mine.py")
    assert exports.classes() == {}
    assert not any((tmp_path / "exports").iterdir())


def test_two_files_do_not_export_the_same_class(exports: Exports, tmp_path: Path) -> None:
    exports.add(file(tmp_path, GOOD))
    with pytest.raises(DuplicateError, match="Adder"):
        exports.add(file(tmp_path, GOOD, "yours.py"))
    assert [it.file for it in exports.files()] == ["mine.py"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError"),
        ("1 /", "SyntaxError"),
        ("x = 1", "no class with @p2pgrid.export"),
        (GOOD.replace("a: int", "a"), "a of Adder.add: needs an annotation"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_exported_is_refused_and_leaves_nothing(
    exports: Exports, tmp_path: Path, code: str, told: str
) -> None:
    with pytest.raises(SchemaError) as refused:
        exports.add(file(tmp_path, code))
    assert told in str(refused.value)
    assert exports.classes() == {}


@pytest.mark.parametrize("name", ["absent.py", "mine.txt"])
def test_only_python_files_are_exported(exports: Exports, tmp_path: Path, name: str) -> None:
    file(tmp_path, GOOD, "mine.txt")
    with pytest.raises(SchemaError, match="no Python file"):
        exports.add(tmp_path / name)


@pytest.mark.parametrize("broken", ["mine.py", "mine.json"])
def test_a_damaged_or_changed_file_is_left_out_and_the_others_stay(
    exports: Exports, tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    exports.add(file(tmp_path, GOOD))
    exports.add(file(tmp_path, GOOD.replace("Adder", "Other"), "other.py"))
    (tmp_path / "exports" / broken).write_text("changed = 1")
    assert list(exports.classes()) == ["Other"]
    assert "export the file again" in caplog.text
    with pytest.raises(SchemaError, match="not exported here"):
        exports.load_class("Adder")


# --- python -m actors -------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], *line: object) -> Any:
    main([str(word) for word in line])
    return json.loads(capsys.readouterr().out)


def test_the_command_exports_lists_and_takes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = NodeDirectory(tmp_path / "node")
    node.create(NodeSettings(name="clinic", kind="domain", port=1))
    for line in (("export", node.path, file(tmp_path, GOOD)), ("exports", node.path)):
        (row,) = said(capsys, *line)["classes"]
        assert (row["name"], row["file"], row["methods"]) == ("Adder", "mine.py", ["add"])
    assert said(capsys, "unexport", node.path, "mine.py") == {"classes": []}
    refused = said(capsys, "export", node.path, tmp_path / "absent.py")["error"]
    assert (refused["code"], "no Python file" in refused["text"]) == (SchemaError.code, True)


def test_a_network_exports_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = NodeDirectory(tmp_path / "node")
    node.create(NodeSettings(name="city", kind="network", port=1))
    refused = said(capsys, "exports", node.path)["error"]
    assert (refused["code"], "only domains" in refused["text"]) == (NodeError.code, True)
