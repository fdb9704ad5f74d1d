"""Intervals that cover: a Dirichlet posterior per stratum, carried to the finite population.

A rare species that the machine missed lies among hundreds of thousands of blanks. When none of the reviewed blanks
shows one, the textbook's standard error is zero, though a thousand clean blanks do not rule out a few hundred missed
animals. A posterior does not forget them:

- The shares of stratum h are Dirichlet(n_h·share_h + prior_h). The prior gives `correct` to the predicted class and
  `wrong` to all others in equal parts: half and half is Jeffreys' for right or wrong, and Perks' within the wrong.
- The N_h - n_h images nobody looked at are drawn from those shares (Dirichlet-multinomial), those seen stay as seen.
  So a census has no width, and no finite-population correction need be multiplied on.

The prior is a choice and it shows: it puts phantom animals among the blanks, about `wrong`/(K-1)/n_h·N_h of each species.
Therefore the report gives the interval under half the prior beside it, and blanks are split by runner-up score, so
that phantoms can be many only where the machine itself was in doubt.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from varanger.qc.domain.estimator import NOT_OBSERVED, Ratio
from varanger.qc.domain.strata import Strata

REPLICATES = 2000
LEVEL = 0.95
_ROWS_AT_ONCE = 64
"""Strata drawn together: bounds the memory at replicates × 64 × K numbers."""


@dataclass(frozen=True)
class Prior:
    """Images' worth of belief before anybody looked: in the predicted class, and in all others together."""

    correct: float
    wrong: float


PRIOR = Prior(0.5, 0.5)
HALF_PRIOR = Prior(0.25, 0.25)


@dataclass(frozen=True)
class Posterior:
    """R plausible populations: images per stratum and outcome. `totals` (R, H, K), uint32 as they are counts."""

    totals: NDArray[np.uint32]

    def interval(self, ratio: Ratio, value: float | None, level: float = LEVEL) -> tuple[float, float] | None:
        """Equal-tailed interval of Y/X, widened to hold the estimate itself; None where there is no estimate.

        The prior pulls its middle inwards, so at the ends (a recall of one) the estimate can lie beyond it.
        """
        if value is None:
            return None
        y, x = self._total(ratio.numerator), self._total(ratio.denominator)
        possible = x > 0.0
        if not possible.any():
            return value, value
        low, high = np.quantile(y[possible] / x[possible], [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        return float(min(low, value)), float(max(high, value))

    def _total(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over strata and outcomes, shape (R,)."""
        _, strata, outcomes = self.totals.shape
        full = np.broadcast_to(weights, (strata, outcomes))
        used = np.flatnonzero(full.any(axis=1))
        return np.asarray(np.einsum("rhk,hk->r", self.totals[:, used], full[used]))


def posterior(strata: Strata, seed: int, prior: Prior = PRIOR, replicates: int = REPLICATES) -> Posterior:
    """Draw R populations that agree with what was seen."""
    generator = np.random.default_rng(seed)
    belief = strata.effective[:, None] * strata.share + prior_counts(strata, prior)
    unseen = np.round(strata.unseen).astype(np.int64)
    totals = np.empty((replicates, *strata.seen.shape), dtype=np.uint32)
    for start in range(0, len(unseen), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        gamma = generator.standard_gamma(belief[rows], size=(replicates, *belief[rows].shape))
        shares = gamma / gamma.sum(axis=2, keepdims=True)
        totals[:, rows] = strata.seen[rows] + generator.multinomial(unseen[rows], shares)
    return Posterior(totals)


def prior_counts(strata: Strata, prior: Prior) -> NDArray[np.float64]:
    """The prior of each stratum (H, K). `NOT_OBSERVED` shares in what is wrong; mixed strata get equal parts of all."""
    many = len(strata.outcomes)
    outcome = np.arange(many)
    wrong = prior.wrong / max(many - 1, 1)
    counts = np.where(outcome == strata.predicted[:, None], prior.correct, wrong)
    mixed = strata.predicted < 0
    counts[mixed] = (prior.correct + prior.wrong) / many
    return counts


__all__ = ["HALF_PRIOR", "LEVEL", "NOT_OBSERVED", "PRIOR", "Posterior", "Prior", "posterior", "prior_counts"]
