"""What follows from what is known, and nothing else: no database, no clock, no network."""
