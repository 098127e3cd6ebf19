"""The actors of a node, and who calls whom.

A peer's request arrives in the gateway and goes down this list:

- ``deploy``    starts and stops nodes: their Ray cluster, then (``driver``) their actors, by name.
- ``remote``    the classes below as Ray actors, and their handles as ports; ``packs`` of nodes.
- ``node``      one node: its gateway, its service, its peer; ``pack`` many in one process, with
  their services behind the ports of ``local``.
- ``gateway``   the only process on the network: links, logins, dispatch, errors.
- ``domain``    what a domain answers: users, datasets, operations, ``get``.
- ``network``   what a network answers: join, search.
- ``sessions``  who holds which objects, while links live and for a lease after.
- ``calls``     exported actors: make, call, cancel, kill; ``taking`` gives their results away.
  ``inputs``, ``pending``, ``live_actor``, ``roster`` and ``results`` are its parts.
- ``hosted``    the inside of an actor's process; ``host_channel`` the socket to it;
  ``remote_hosts`` and ``local_hosts`` start such processes, or threads; ``exports`` the classes.
- ``announcer`` tells the DHT and the networks that this node lives.
- ``state``     accounts, catalog and audit of a domain, in SQLite: one writer, one order.
- ``store``     the values: datasets on disk, intermediate results in memory.
- ``registry``  a network's index of other nodes' signed records.
- ``channel``   the socket over which the gateway reaches the store; ``frames`` of both sockets.
- ``ports``     what the services see of each other.
- ``journal``   the SQLite file; ``layout`` the other files of a node's directory; ``logs``;
  ``loop`` the thread of asyncio.
- ``meter``     what is counted on the hot path; ``metrics`` the Prometheus text about it.
- ``cluster``, ``processes``, ``sockets``  one Ray cluster as processes of this machine.

The services are plain classes; only ``remote``, ``remote_hosts``, ``packs`` and ``driver`` know
Ray.
"""

import importlib.util

from p2pgrid.errors import MissingExtraError

if importlib.util.find_spec("ray") is None:
    raise MissingExtraError(extra="node", needed_for="running a node")
