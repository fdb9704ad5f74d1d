"""The service itself starts without torch; only a training run's own process loads it."""

import subprocess
import sys

CODE = """
import sys
import varanger.trainer.main, varanger.trainer.application.train, varanger.trainer.application.demonstration
heavy = {"torch", "torchvision", "ultralytics", "onnx", "safetensors", "varanger.trainer.training"}
print(sorted(heavy & set(sys.modules)))
"""


def test_the_control_plane_imports_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
