"""What the gateway does: one file per thing a person or program can ask for."""
