"""By which a test holds up a call of an actor that lives in a thread of the same process."""

import threading


class Gate:
    """Reached by a call, opened by the test."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()


GATES: dict[str, Gate] = {}
