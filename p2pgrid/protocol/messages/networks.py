"""What a network says of itself."""

from typing import Annotated

from msgspec import Meta

from p2pgrid.protocol.messages.base import BaseMessage

Count = Annotated[int, Meta(ge=0, le=2**53)]


class Describe(BaseMessage, frozen=True, tag="describe"):
    """Anyone asks a network how much it lists; see ``NetworkStatus``."""


class NetworkStatus(BaseMessage, frozen=True, tag="network-status"):
    """How many datasets, models and domains a network lists, and how many domains are online.

    A domain is online while the link is alive on which it joined. All four are claims of the
    network: nobody else can count them.
    """

    datasets: Count
    models: Count
    domains: Count
    online: Count
