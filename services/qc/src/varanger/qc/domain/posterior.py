"""Intervals that cover: a Dirichlet posterior per stratum, carried to the finite population.

A rare species that the machine missed lies among hundreds of thousands of blanks. When none of the reviewed blanks
shows one, the textbook's standard error is zero, though a thousand clean blanks do not rule out a few hundred missed
animals. A posterior does not forget them:

- The shares of stratum h are Dirichlet(n_h·share_h + prior_h). The prior gives `correct` to the predicted class and
  `wrong` to all others in equal parts: half and half is Jeffreys' for right or wrong, and Perks' within the wrong.
- The N_h - n_h images nobody looked at are drawn from those shares (Dirichlet-multinomial), those seen stay as seen.
  So a census has no width, and no finite-population correction need be multiplied on.

The prior is a choice and it shows: it puts phantom animals among the blanks, about `wrong`/(K-1)/n_h·N_h of each
species. Therefore the report gives the interval under half the prior beside it, and blanks are split by runner-up
score, so that phantoms can be many only where the machine itself was in doubt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varanger.qc.domain.estimator import Ratio
from varanger.qc.domain.strata import Strata

REPLICATES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Prior:
    """Images' worth of belief before anybody looked: in the predicted class, and in all others together."""

    correct: float
    wrong: float


PRIOR = Prior(0.5, 0.5)
HALF_PRIOR = Prior(0.25, 0.25)


@dataclass(frozen=True)
class Posterior:
    """R plausible populations. `images` (R, P, K): how many were predicted p and turn out as k in each."""

    images: NDArray[np.float64]

    def __add__(self, other: "Posterior") -> "Posterior":
        """Two parts of one population, drawn independently."""
        return Posterior(self.images + other.images)

    def interval(self, ratio: Ratio, value: float | None, level: float = LEVEL) -> tuple[float, float] | None:
        """Equal-tailed interval of Y/X, widened to hold the estimate itself; None where there is no estimate.

        The prior pulls its middle inwards, so at the ends (a recall of one) the estimate can lie beyond it.
        """
        if value is None:
            return None
        flat = self.images.reshape(len(self.images), -1)
        y, x = flat @ ratio.numerator.ravel(), flat @ ratio.denominator.ravel()
        possible = x > 0.0
        if not possible.any():
            return value, value
        low, high = np.quantile(y[possible] / x[possible], [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        return float(min(low, value)), float(max(high, value))


def posterior(strata: Strata, seed: Sequence[int], prior: Prior = PRIOR, replicates: int = REPLICATES) -> Posterior:
    """Draw R populations that agree with what was seen. The same strata and seed give the same populations.

    Posteriors that are to be added need different seeds; the same one under two priors makes their ends comparable.
    """
    generator = np.random.default_rng(seed)
    many = len(strata.outcomes)
    images = np.zeros((replicates, many, many))
    unseen = np.round(strata.unseen).astype(np.int64)
    belief = strata.effective[:, None] * strata.share + prior_counts(strata, prior)
    for stratum, predicted in enumerate(strata.predicted.tolist()):
        images[:, predicted] += strata.seen[stratum]
        if unseen[stratum]:
            images[:, predicted] += _unseen(generator, int(unseen[stratum]), belief[stratum], replicates)
    return Posterior(images)


def _unseen(
    generator: np.random.Generator, unseen: int, belief: NDArray[np.float64], replicates: int
) -> NDArray[np.float64]:
    """What the unseen images of a stratum turn out to be, (R, K): Dirichlet-multinomial."""
    # Gamma variates in single precision cost half as much; shares are normalised in double, as multinomial asks.
    gamma = generator.standard_gamma(belief.astype(np.float32), size=(replicates, len(belief)), dtype=np.float32)
    shares = gamma.astype(np.float64)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return generator.multinomial(unseen, shares).astype(np.float64)


def prior_counts(strata: Strata, prior: Prior) -> NDArray[np.float64]:
    """The prior of each stratum (H, K); what is not observed has its part of what is wrong."""
    many = len(strata.outcomes)
    wrong = prior.wrong / max(many - 1, 1)
    return np.where(np.arange(many) == strata.predicted[:, None], prior.correct, wrong)
