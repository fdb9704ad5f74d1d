"""Use cases: `draw_round` when a round is asked for, `estimate_round` when somebody answered."""
