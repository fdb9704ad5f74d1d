"""The gateway's calls, each described once: what is sent, and as what its answer is read."""
