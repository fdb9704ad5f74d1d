"""Use cases. Each takes the ports it needs; transactions begin and end here."""
