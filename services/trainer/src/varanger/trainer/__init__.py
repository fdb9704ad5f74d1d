"""Datasets, training runs, expert groups, evaluation, releases."""
