"""Exceptions that left trio's nurseries, which put each into a group."""


def innermost(error: Exception) -> Exception:
    """The only exception in groups of one; a group of several stays as it is."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
