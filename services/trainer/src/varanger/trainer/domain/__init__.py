"""The words and rules of training: datasets, splits, groups, calibration, evaluation. Pure."""
