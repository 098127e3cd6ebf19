"""What all errors of p2pgrid have in common, and the mistakes of p2pgrid itself."""

from typing import ClassVar

from typing_extensions import override


class P2PGridError(Exception):
    """Base of all errors of p2pgrid; ``code`` is stable across versions."""

    code: ClassVar[int] = 0

    @override
    def __str__(self) -> str:
        """The text, without what a terminal would obey: it may hold names that others chose."""
        text = Exception.__str__(self)  # not that of KeyError, which some are too
        return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)

    @override
    def __reduce__(self) -> tuple[object, ...]:
        """Copies without calling ``__init__``, whose arguments differ per class."""
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(
    cls: type[P2PGridError], args: tuple[object, ...], fields: dict[str, object]
) -> P2PGridError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(fields)
    return error


class InternalError(P2PGridError):
    """A mistake on the other side; the owner finds ``reference`` in the log."""

    code = 900

    def __init__(self, *, reference: str) -> None:
        super().__init__(
            f"the node failed on its own mistake; tell its owner the reference {reference}"
        )
        self.reference = reference
