"""A bar on standard error for transfers that take long enough to be worth one."""

from types import TracebackType
from typing import Self

from tqdm import tqdm

SHOW_AFTER_S = 1.0


class _Bar(tqdm):  # type: ignore[misc]
    monitor_interval = 0  # no thread of its own


class ProgressBar:
    """Shows how many bytes are durable; a context manager."""

    def __init__(self, label: str, size: int, *, progress: bool | None) -> None:
        """Shows nothing yet.

        Args:
            label: what is on its way.
            size: bytes.
            progress: True: always; False: never; None: when standard error is a terminal.
        """
        self._bar = _Bar(
            desc=label,
            total=size,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            delay=SHOW_AFTER_S,
            leave=False,
            disable=None if progress is None else not progress,
        )

    def update(self, durable: int) -> None:
        """Shows that the first ``durable`` bytes, or things, have arrived."""
        self._bar.update(durable - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()


class CountBar(ProgressBar):
    """Shows how many of a few things are done, from the beginning; the line stays."""

    def __init__(self, label: str, count: int, *, progress: bool | None) -> None:
        disable = None if progress is None else not progress
        self._bar = _Bar(desc=label, total=count, disable=disable)
