"""The handler of the queue `qc`: one estimate per round and batch, however many reviews came."""

from collections.abc import Sequence

from varanger.common.catalog import Catalog
from varanger.common.messages import Envelope, QcRoundRequested, ReviewRecorded
from varanger.qc.application.draw_round import draw_round
from varanger.qc.application.estimate_round import estimate_round


class HandleQc:
    """Draws what was asked for, then estimates every round that was answered. Answers no message: effects are rows."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def __call__(self, envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
        """Handle a batch. Idempotent: a round is drawn once, and a report follows from the reviews alone.

        Raises:
            BadMessage: a round that was never asked for or drawn in its project.
            DependencyDown: the catalog does not answer.
        """
        for envelope in envelopes:
            if isinstance(envelope.payload, QcRoundRequested):
                await draw_round(self._catalog, envelope.project_id, envelope.payload.round_id)
        reviewed = {
            (envelope.project_id, envelope.payload.round_id)
            for envelope in envelopes
            if isinstance(envelope.payload, ReviewRecorded)
        }
        for project_id, round_id in sorted(reviewed, key=str):
            if round_id is not None:  # a review outside any round is no sample, and changes no estimate
                await estimate_round(self._catalog, project_id, round_id)
        return []
