"""One file per thing the API has; each with its router."""
