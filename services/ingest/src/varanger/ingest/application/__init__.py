"""The use cases: examine a file, ingest an uploaded one, inspect one by hand."""
