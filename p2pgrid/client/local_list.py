"""A short list in a JSON file of this person; never half written, set aside when it is damaged."""

import contextlib
import fcntl
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from p2pgrid.protocol.malformed import MALFORMED

Row = TypeVar("Row")

PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600


class DamagedFileWarning(UserWarning):
    """A file of p2pgrid could not be read; it was set aside, and begins anew."""


class LocalList(Generic[Row]):
    """Rows of one type. Programs that change it at the same time do not lose each other's rows."""

    def __init__(self, path: Path, row: type[Row]) -> None:
        self._path, self._row = path, row

    def read(self) -> tuple[Row, ...]:
        """The rows; none when there is no file. Warns when the file was damaged."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        try:
            return msgspec.json.decode(content, type=tuple[self._row, ...])  # type: ignore[name-defined]
        except MALFORMED:
            self._set_aside(content)
            return ()

    def change(self, change: Callable[[tuple[Row, ...]], Iterable[Row]]) -> None:
        """Puts new rows in place of those that there are; writes only what differs."""
        with self._locked():
            rows = self.read()
            new = tuple(change(rows))
            if new != rows:
                self._write(new)

    def _write(self, rows: tuple[Row, ...]) -> None:
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
        draft.replace(self._path)

    def _set_aside(self, content: bytes) -> None:
        mark = hashlib.sha256(content).hexdigest()[:8]
        aside = self._path.with_name(f"{self._path.name}.damaged-{mark}")
        with contextlib.suppress(FileNotFoundError):  # another program has just done it
            self._path.replace(aside)
        warnings.warn(
            f"{self._path} was damaged; it is kept as {aside.name}, and the list begins anew",
            DamagedFileWarning,
            stacklevel=2,
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        lock = os.open(
            self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, PRIVATE_FILE
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
