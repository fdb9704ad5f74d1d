"""Logs, metrics, health and trace context: the same for every process."""
