"""Quality check as survey sampling: draw a round, estimate from what people answered."""
