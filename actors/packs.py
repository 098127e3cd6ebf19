"""The packs of an embedded cluster, as Ray actors: which node goes into which.

A pack that dies is started again by Ray, and starts its nodes from its record. The records lie in
Ray's directory, so a cluster that starts begins without any.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from actors.pack import Serving
from actors.remote import RemotePack
from p2pgrid.errors import NodeError, P2PGridError

NODES_PER_PACK = 50
"""So many nodes keep one core busy for some seconds when they start; see ADR 0009."""
ANSWER_S = 120.0


def start(nodes: Sequence[Path], records: Path) -> dict[Path, str]:
    """Puts nodes that do not run yet into packs with room, and into new ones.

    Returns:
        The setup tokens of those that were started and have no owner.

    Raises:
        PortInUseError: another process listens on the port of one of them.
        NodeError: a pack did not start.
    """
    served = _served()
    new = [node for node in nodes if not any(node in nodes_of for nodes_of in served.values())]
    starting, number = [], 0
    while new:
        name = f"pack {number}"
        room = NODES_PER_PACK - len(served.get(name, ()))
        if room > 0:
            pack = _make(name, records / f"pack-{number}.json")
            starting.append(pack.start.remote(new[:room]))
        new, number = new[room:], number + 1
    return {node: token for tokens in _answers(starting) for node, token in tokens.items()}


def stop(nodes: Sequence[Path]) -> None:
    """Stops nodes; a pack that has none left ends.

    Raises:
        NodeError: a pack did not answer.
    """
    leaving = set(nodes)
    packs = {ray.get_actor(name): set(served) for name, served in _served().items()}
    _answers([pack.stop.remote(sorted(leaving & served)) for pack, served in packs.items()])
    for pack, served in packs.items():
        if served <= leaving:
            ray.kill(pack)


def serving() -> dict[Path, Serving]:
    """The nodes that run in packs; waits for a pack that restarts.

    Raises:
        NodeError: a pack did not answer.
    """
    return {node: at for served in _served().values() for node, at in served.items()}


def _make(name: str, record: Path) -> Any:
    """Makes the pack of this name, or finds it when it runs already."""
    actor: Any = RemotePack
    return actor.options(name=name, get_if_exists=True).remote(record)


def _served() -> dict[str, dict[Path, Serving]]:
    names = [name for name in ray.util.list_named_actors() if name.startswith("pack ")]
    answers = _answers([ray.get_actor(name).serving.remote() for name in names])
    return dict(zip(names, answers, strict=True))


def _answers(calls: Sequence[Any]) -> list[Any]:
    try:
        return list(ray.get(list(calls), timeout=ANSWER_S))
    except RayTaskError as error:
        if isinstance(error.cause, P2PGridError):
            raise error.cause from error
        raise NodeError(f"a pack failed: {error}") from error
    except RayActorError as error:
        raise NodeError(f"a pack did not start: {error}") from error
    except GetTimeoutError as error:
        raise NodeError(f"a pack did not answer in {ANSWER_S:g} s") from error
