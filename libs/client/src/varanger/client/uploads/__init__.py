"""Sending files in several steps: many in a form, one large file in pieces."""
