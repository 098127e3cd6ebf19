"""Private networks on this machine, in namespaces that end with the process that holds them.

``city`` is reached by ``home``, ``ward`` and ``gate``, at ``CITY``; ``clinic`` reaches only
``gate``; nothing is forwarded. As another user than root a user namespace is made as well.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

CITY, GATE = "10.77.0.1", "10.77.4.1"
WARD = "10.77.1.2"

SETUP = f"""
set -e
mount -t tmpfs tmpfs /run
for place in city home ward gate clinic; do
  ip netns add $place
  ip -n $place link set lo up
  ip netns exec $place sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'
done
cable() {{
  ip link add to-$2 netns $1 type veth peer name to-$1 netns $2
  ip -n $1 addr add 10.77.$3.1/24 dev to-$2
  ip -n $2 addr add 10.77.$3.2/24 dev to-$1
  ip -n $1 link set to-$2 up
  ip -n $2 link set to-$1 up
}}
cable city ward 1
cable city home 2
cable city gate 3
cable gate clinic 4
ip -n city addr add {CITY}/32 dev lo
ip -n ward route add {CITY} via 10.77.1.1
ip -n home route add {CITY} via 10.77.2.1
ip -n gate route add {CITY} via 10.77.3.1
echo ready
exec cat
"""

Inside = Sequence[str]
"""What to put before a command, so that it runs in one of the places."""


class PrivateNetworks:
    """The places; a process of this one holds them."""

    def __init__(self, holder: "subprocess.Popen[str]", flags: Sequence[str]) -> None:
        self._enter = ["nsenter", "--target", str(holder.pid), *flags, "ip", "netns", "exec"]

    def inside(self, place: str) -> Inside:
        """What starts a command there."""
        return [*self._enter, place]


@contextmanager
def private_networks() -> Iterator[PrivateNetworks]:
    """The namespaces, while the context is open."""
    flags = ["--net", "--mount"]
    more = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    holder = subprocess.Popen(
        ["unshare", *flags, *more, "sh", "-c", SETUP],  # noqa: S607 wherever the system has it
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        assert holder.stdout.readline() == "ready\n", holder.stderr.read()
        yield PrivateNetworks(holder, [*flags, *more[:1]])
    finally:
        holder.kill()
        holder.communicate()
