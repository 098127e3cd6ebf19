"""Which libraries can take a tensor on this machine, by the two letters that everybody uses."""

from collections.abc import Callable
from importlib.util import find_spec

FRAMEWORKS = {
    "PT": "torch",
    "TF": "tensorflow",
    "PD": "pandas",
    "NP": "numpy",
    "JX": "jax",
}


def installed_frameworks(find: Callable[[str], object | None] = find_spec) -> tuple[str, ...]:
    """The letters of the libraries that are installed here; none of them is imported.

    Args:
        find: None for the name of a module that is not there.
    """
    return tuple(letters for letters, module in FRAMEWORKS.items() if find(module) is not None)
