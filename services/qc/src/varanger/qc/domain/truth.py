"""What a person's answer says, in the one word that figures are made of."""

from collections.abc import Collection
from typing import Protocol

from varanger.common.words import BAD_QUALITY, BLANK, ImageQuality


class _Counted(Protocol):
    @property
    def taxon(self) -> str: ...

    @property
    def count(self) -> int: ...


def observed_taxa(observations: Collection[_Counted]) -> frozenset[str]:
    """The taxa a person saw; a review that writes blank or bad quality as a taxon saw none."""
    return frozenset(item.taxon for item in observations) - {BLANK, BAD_QUALITY}


def truth_label(predicted: str, observations: Collection[_Counted], quality: ImageQuality) -> str | None:
    """The true label of one image, or None where it was not observed.

    A blank is an image in which nothing was seen. With several species in one image the predicted label is right
    iff it is among them; where it is not, the truth is the most numerous taxon, the first by name among equals.
    So every image counts once, and the confusion matrix sums to one. A species that stands beside a correctly named
    one is not counted as missed: the label is one word by definition. The report counts such images.
    A person's `bad_quality` means *not observed*, never *absent*, and decides nothing about the machine's answer.
    """
    if quality is ImageQuality.BAD_QUALITY:
        return None
    taxa = observed_taxa(observations)
    if not taxa:
        return BLANK
    if predicted in taxa:
        return predicted
    counts: dict[str, int] = {}
    for item in observations:
        if item.taxon in taxa:
            counts[item.taxon] = counts.get(item.taxon, 0) + item.count
    return min(taxa, key=lambda taxon: (-counts[taxon], taxon))
