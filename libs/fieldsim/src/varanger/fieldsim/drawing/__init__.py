"""Everything that turns a plan into pixels."""
