"""Everything that needs torch: run as a subprocess, so that the service itself stays small and a crash costs one run.

``python -m varanger.trainer.training <spec.json> <out dir>`` trains a release; it needs ``varanger-trainer[torch]``.
"""
