"""What a person sees of p2pgrid, and what an import costs."""

import subprocess
import sys

import pytest

import p2pgrid

HEAVY = ("ray", "torch", "crypten", "libp2p", "trio", "numpy", "msgspec", "nacl", "rich", "typer")


def run(program: str) -> str:
    """What a program prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def test_importing_p2pgrid_loads_nothing_heavy() -> None:
    loaded = run(f"import sys, p2pgrid; print(*({set(HEAVY)!r} & set(sys.modules)))")
    assert loaded == ""


def test_the_wire_needs_neither_ray_nor_torch_nor_libp2p() -> None:
    loaded = run(
        "import sys, p2pgrid.policy.objects, p2pgrid.protocol.codec\n"
        f"print(*({set(HEAVY[:5])!r} & set(sys.modules)))"
    )
    assert loaded == ""


def test_the_public_names_are_sorted_and_without_repetition() -> None:
    assert p2pgrid.__all__ == sorted(set(p2pgrid.__all__))
    assert len(p2pgrid.__all__) <= 40


def test_every_public_name_has_a_home_and_every_home_a_name() -> None:
    assert sorted(p2pgrid._HOMES) == p2pgrid.__all__


@pytest.mark.parametrize("name", p2pgrid.__all__)
def test_a_public_name_leads_to_something_of_that_name(name: str) -> None:
    found = getattr(p2pgrid, name)
    assert callable(found)
    assert found.__name__ == name


def test_a_star_import_gives_all_public_names() -> None:
    names = run("from p2pgrid import *; print(*sorted(n for n in dir() if n[0] != '_'))")
    assert names.split() == sorted(p2pgrid.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'p2pgrid' has no attribute 'conect'"):
        _ = p2pgrid.conect


HIDE_RAY = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError(name)
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "ray" else real(name, *rest)
sys.meta_path.insert(0, Hidden())
"""


def test_c01_a_node_without_its_extra_says_what_to_install() -> None:
    program = HIDE_RAY + (
        "from p2pgrid.errors import MissingExtraError\n"
        "try:\n"
        "    import actors\n"
        "except MissingExtraError as error:\n"
        "    print(error.extra, '|', error)\n"
    )
    extra, text = run(program).split(" | ")
    assert extra == "node"
    assert "pip install 'p2pgrid[node]'" in text


def test_the_client_library_works_without_ray() -> None:
    program = (
        HIDE_RAY + "import p2pgrid; print(*(getattr(p2pgrid, n).__name__ for n in p2pgrid.__all__))"
    )
    assert run(program).split() == p2pgrid.__all__
