"""How often somebody may try what can be guessed; time comes in as a value.

Rule 1: whoever was quiet may try ``burst`` times at once; from there on once every ``every_s``.
Rule 2: an attempt counts before its outcome is known, so that many at once are counted, too; one
that succeeds is given back.
Rule 3: at most ``remembered`` names are known; the one that may try again soonest is forgotten.
"""


class Attempts:
    """Attempts by name: of accounts, of peers."""

    def __init__(self, *, burst: int, every_s: float, remembered: int) -> None:
        self._burst_s, self._every_s = burst * every_s, every_s
        self._remembered = remembered
        self._paid: dict[str, float] = {}
        """Until when each name has used up its time: the generic cell rate algorithm."""

    def __len__(self) -> int:
        return len(self._paid)

    def take(self, name: str, *, now: float) -> float:
        """Counts an attempt and returns 0; or the seconds to wait, when it may not be made yet."""
        paid = max(self._paid.get(name, now), now) + self._every_s
        if (wait_s := paid - now - self._burst_s) > 0:
            return wait_s
        self._paid[name] = paid
        if len(self._paid) > self._remembered:
            self._forget(now)
        return 0.0

    def give_back(self, name: str) -> None:
        """Takes an attempt back: it succeeded."""
        if name in self._paid:
            self._paid[name] -= self._every_s

    def _forget(self, now: float) -> None:
        self._paid = {name: paid for name, paid in self._paid.items() if paid > now}
        if len(self._paid) > self._remembered:
            del self._paid[min(self._paid, key=self._paid.__getitem__)]
