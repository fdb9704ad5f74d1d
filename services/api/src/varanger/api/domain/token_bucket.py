"""How often, and how much, within a time: a bucket that fills steadily and is taken from."""

import math
from dataclasses import dataclass, field

_ROUNDING = 1e-9
"""Of the capacity: what adding up fractions may lose must not refuse who waited as long as he was told."""


@dataclass
class TokenBucket:
    """Holds `capacity` tokens, gains as many in `fills_in_s` seconds, and begins full.

    So that what was spared may be used at once, up to one capacity; in the long run no more than its rate gets through.
    Times are seconds of any clock that never goes back.
    """

    capacity: float
    fills_in_s: float
    filled_at: float
    level: float = field(init=False)
    """Below zero where more was taken than there was."""

    def __post_init__(self) -> None:
        """Full."""
        self.level = self.capacity

    def take(self, tokens: float, at: float) -> None:
        """Take them, whether they are there or not: what was let in is counted as it comes, and may overdraw."""
        self._fill(at)
        self.level -= tokens

    def wait_s(self, at: float) -> int:
        """Whole seconds until there is a token; 0: there is one. True as long as nobody else takes."""
        self._fill(at)
        missing = 1.0 - self.level - _ROUNDING * self.capacity
        return max(0, math.ceil(missing * self.fills_in_s / self.capacity))

    def _fill(self, at: float) -> None:
        self.level = min(self.capacity, self.level + (at - self.filled_at) * self.capacity / self.fills_in_s)
        self.filled_at = at
