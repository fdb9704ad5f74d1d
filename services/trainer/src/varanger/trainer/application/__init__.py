"""The use cases: train a release, run a requested training."""
