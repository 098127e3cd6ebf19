"""What to take back of what was shared."""

import re

from p2pgrid.client.sharing import capability_in
from p2pgrid.protocol.capability import encode
from p2pgrid.protocol.messages import Revoke


def revocation_of(given: str, own: bytes) -> Revoke:
    """The link that a text or an id means: the first that our key signed, or else the last.

    Raises:
        CapabilityError: it is neither.
    """
    if re.fullmatch("[0-9a-f]{32}", given):
        return Revoke(bytes.fromhex(given))
    capability = capability_in(given)
    links = zip(capability.ids, capability.signers, strict=True)
    link = next((link for link, signer in links if signer == own), capability.ids[-1])
    return Revoke(link, encode(capability))
