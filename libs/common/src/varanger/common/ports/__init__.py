"""The seams. Each port's promise stands in its docstrings; one contract suite per port runs against every adapter."""
