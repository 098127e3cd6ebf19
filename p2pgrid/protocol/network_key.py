"""The text of a network's key file, as libp2p and IPFS write it: three lines, the last one hex."""

from p2pgrid.errors import SchemaError
from p2pgrid.protocol.secret import Secret

KEY_BYTES = 32
MAX_FILE_BYTES = 1024
_HEAD = ("/key/swarm/psk/1.0.0/", "/base16/")


def encode(key: Secret) -> bytes:
    """The content of a key file; whoever may read it is in the network."""
    return "\n".join((*_HEAD, key.reveal().hex(), "")).encode()


def decode(content: bytes) -> Secret:
    """The 32-byte key in a key file; blank space around its lines does not count.

    Raises:
        SchemaError: something else is in it; the text says what, and nothing of the content.
    """
    words = content.decode("ascii", errors="replace").split()
    if len(content) > MAX_FILE_BYTES or len(words) != len(_HEAD) + 1:
        raise _refused(f"has {len(content):,} bytes in {len(words)} words; expected three lines")
    if tuple(words[:2]) != _HEAD:
        raise _refused(f"does not begin with the lines {' and '.join(_HEAD)}")
    try:
        key = Secret(bytes.fromhex(words[2]))
    except ValueError:
        raise _refused("has a third line that is not hexadecimal") from None
    if len(key.reveal()) != KEY_BYTES:
        raise _refused(f"has a key of {len(key.reveal())} bytes; expected {KEY_BYTES}")
    return key


def _refused(problem: str) -> SchemaError:
    return SchemaError(field="network key", problem=problem)
