"""The actor classes that an owner has exported: Python files in the node's directory ``exports/``.

Beside each file lies what it exports, as JSON, with the digest of the file. The gateway reads only
that: the owner's code is loaded when it is exported, and in the processes of its actors. A file
that was changed by hand is not offered until it is exported again.
"""

import hashlib
import importlib.util
import logging
import secrets
import sys
from collections.abc import Mapping
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType

import msgspec
from msgspec import Struct
from typing_extensions import override

from actors.layout import write_private
from p2pgrid.errors import DuplicateError, SchemaError
from p2pgrid.exports import exported
from p2pgrid.policy.calls import ExportedClass
from p2pgrid.protocol.malformed import MALFORMED

log = logging.getLogger(__name__)


class ExportedFile(Struct, frozen=True):
    """A file, its digest, and what it exports."""

    file: str
    digest: str
    classes: tuple[ExportedClass, ...]


class ExportedMethods(Struct, frozen=True):
    """A line for the owner: a class, its file, what can be called, and by whom."""

    name: str
    file: str
    methods: tuple[str, ...]
    users: tuple[str, ...]


class ExportsStatus(Struct, frozen=True):
    """What an owner asks of a node's exports."""

    classes: tuple[ExportedMethods, ...]


class Exports:
    """The files in a directory; no two of them export classes of the same name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, source: Path) -> ExportedFile:
        """Loads and checks a file, and keeps a copy, in the place of an older one of its name.

        Raises:
            SchemaError: it cannot be loaded, exports nothing, or something that cannot travel.
            DuplicateError: another file exports a class of the same name.
        """
        module = load(source)
        code = source.read_bytes()
        found = ExportedFile(source.name, _digest(code), _classes_of(module))
        taken = {
            cls.info.name for it in self.files() if it.file != source.name for cls in it.classes
        }
        for cls in found.classes:
            if cls.info.name in taken:
                raise DuplicateError(what="exported class", name=cls.info.name)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        write_private(self._directory / source.name, code)
        write_private(self._listing(source.name), msgspec.json.encode(found))
        return found

    def remove(self, file: str) -> None:
        """Exports a file no longer; twice is as once."""
        self._listing(file).unlink(missing_ok=True)
        (self._directory / Path(file).name).unlink(missing_ok=True)

    def files(self) -> tuple[ExportedFile, ...]:
        """All files, by name; one that is damaged or was changed is left out, with a warning."""
        found = (self._read(path) for path in sorted(self._directory.glob("*.json")))
        return tuple(it for it in found if it is not None)

    def classes(self) -> Mapping[str, ExportedClass]:
        """All exported classes by name."""
        return {cls.info.name: cls for it in self.files() for cls in it.classes}

    def status(self) -> ExportsStatus:
        """All exported classes, for the owner."""
        rows = (_row(it.file, cls) for it in self.files() for cls in it.classes)
        return ExportsStatus(tuple(rows))

    def load_class(self, name: str) -> type:
        """The class itself; runs its file.

        Raises:
            SchemaError: there is none of this name, or its file cannot be loaded any more.
        """
        for it in self.files():
            if any(cls.info.name == name for cls in it.classes):
                found = getattr(load(self._directory / it.file), name, None)
                if isinstance(found, type) and exported(found) is not None:
                    return found
        raise SchemaError(field=name, problem="is not exported here (any more)")

    def _listing(self, file: str) -> Path:
        return self._directory / f"{Path(file).stem}.json"

    def _read(self, listing: Path) -> ExportedFile | None:
        try:
            found = msgspec.json.decode(listing.read_bytes(), type=ExportedFile)
            if found.digest == _digest((self._directory / found.file).read_bytes()):
                return found
            log.warning("export the file again: it was changed", extra={"file": found.file})
        except (OSError, *MALFORMED):
            log.warning("export the file again: it is damaged", extra={"file": listing.stem})
        return None


class _Loader(SourceLoader):
    """Leaves no bytecode beside the file, and believes none that lies there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    @override
    def get_data(self, path: str) -> bytes:
        return Path(path).read_bytes()


def load(path: Path) -> ModuleType:
    """Runs a Python file, as a module with a name of its own.

    Raises:
        SchemaError: there is no such file, or it raised; with its error, for the owner's eyes.
    """
    name = f"p2pgrid_exported_{secrets.token_hex(4)}"
    loader = _Loader(path)
    spec = importlib.util.spec_from_loader(name, loader)
    if path.suffix != ".py" or not path.is_file() or spec is None:
        raise SchemaError(field=str(path), problem="is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except SchemaError:
        raise
    except (Exception, SystemExit) as error:
        problem = f"cannot be loaded: {type(error).__name__}: {error}"
        raise SchemaError(field=str(path), problem=problem) from error
    return module


def _classes_of(module: ModuleType) -> tuple[ExportedClass, ...]:
    own = (it for it in vars(module).values() if isinstance(it, type))
    classes = tuple(found for it in own if (found := exported(it)) is not None)
    if not classes:
        raise SchemaError(field=str(module.__file__), problem="has no class with @p2pgrid.export")
    return classes


def _row(file: str, cls: ExportedClass) -> ExportedMethods:
    users = ("every account",) if cls.allowed is None else cls.allowed
    return ExportedMethods(cls.info.name, file, tuple(sorted(cls.methods)), users)


def _digest(code: bytes) -> str:
    return hashlib.sha256(code).hexdigest()
