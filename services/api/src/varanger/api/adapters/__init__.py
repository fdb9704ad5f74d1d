"""Queries on the catalog. They live here and nowhere else, and never commit: the request ends its transaction."""
