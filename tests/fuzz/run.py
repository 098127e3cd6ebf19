"""The coverage-guided fuzzer: python -m tests.fuzz.run TARGET [--seconds 300] [--corpus DIR].

It begins with the seeds and the kept corpus, and writes what reaches new code into ``--corpus``
(default: a temporary directory, whose path it prints). What breaks the invariant is written to
``crash-*`` there, and ends it. With ``--keep`` it copies ``--corpus`` to the kept one instead.
"""

import argparse
import hashlib
import logging
import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["p2pgrid", "actors"]):
    from tests.fuzz.mutation import mutate
    from tests.fuzz.targets import CORPUS, TARGETS, Target

MAX_LEN = 1 << 14
KEPT_BYTES = 4096


def fuzz(target: Target, folders: list[Path], options: list[str]) -> None:
    """Runs until the options say so, or until a crash; new bytes go to the first folder."""
    seeds = list(target.seeds())

    def change(data: bytes, limit: int, seed: int) -> bytes:
        chance = Random(seed)  # noqa: S311 hostile bytes need no secrecy
        if chance.random() < 0.5:
            return bytes(atheris.Mutate(data, limit))
        return mutate(data, seeds, chance)[:limit]

    logging.disable(logging.CRITICAL)  # thousands of refusals, each a line of the owner's log
    arguments = [sys.argv[0], *options, *map(str, folders)]
    atheris.Setup(arguments, target.run, custom_mutator=change)
    atheris.Fuzz()


def search(name: str, found: Path, *, seconds: int) -> None:
    """Fuzzes from the seeds and the kept corpus."""
    print(f"corpus: {found}", flush=True)  # noqa: T201
    for seed in TARGETS[name].seeds():
        (found / _name(seed)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-max_len={MAX_LEN}", "-timeout=10"]
    options += ["-rss_limit_mb=2048", f"-artifact_prefix={found}/", "-print_final_stats=1"]
    fuzz(TARGETS[name], [found, *filter(Path.is_dir, [CORPUS / name])], options)


def keep(name: str, found: Path) -> None:
    """Adds to the kept corpus what was found: all of it reached code that the kept one did not."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    seeds = set(TARGETS[name].seeds())
    for path in found.iterdir():
        data = path.read_bytes()
        if data not in seeds and len(data) <= KEPT_BYTES and not path.name.startswith("crash-"):
            (kept / _name(data)).write_bytes(data)


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--keep", action="store_true", help="copy --corpus to the kept one")
    asked = parser.parse_args()
    found = asked.corpus or Path(tempfile.mkdtemp(prefix=f"p2pgrid-fuzz-{asked.target}-"))
    if asked.keep:
        keep(asked.target, found)
    else:
        search(asked.target, found, seconds=asked.seconds)


if __name__ == "__main__":
    main()
