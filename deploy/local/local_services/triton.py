"""A real Triton server of our own, from the PyPI package nvidia-pytriton, in an environment of its own.

That package brings the server and its Python backend, but no ONNX Runtime backend; deploy/triton/backends
holds one of that name, so that the models' configuration is the same as for the production image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local_services import probes
from local_services.address import Address, first_free_block
from local_services.processes import ServiceError, run, start_daemon, stop_daemon, wait_until_it_answers
from local_services.service import LocalService, find_program

REQUIREMENTS = ("nvidia-pytriton==0.7.0", "numpy<2", "onnxruntime")
"""numpy 2 in the server's environment makes every output silently empty."""

PYTHON_VERSIONS = ("3.11", "3.12", "3.10")
"""Those for which the package brings a backend stub and numpy 1 has wheels."""

BACKENDS = Path(__file__).resolve().parents[2] / "triton" / "backends"

FACTS = """
import importlib.util, pathlib, sys, sysconfig
print(pathlib.Path(importlib.util.find_spec("pytriton").origin).parent / "tritonserver")
print("%d.%d" % sys.version_info[:2])
print(sysconfig.get_config_var("LIBDIR"))
"""


class Triton(LocalService):
    """Triton in EXPLICIT mode: models come and go over gRPC, the repository folder starts empty."""

    name = "triton"
    variable = "VARANGER_TEST_TRITON_URL"
    default_url = "127.0.0.1:15801"
    default_port = 8001
    packages = ("python3-venv",)
    also_needs = " (the machine must be Linux, with a Python of 3.10 to 3.12)"
    compose_service = "triton"

    def complaint(self, address: Address) -> str | None:
        """Ask over gRPC whether it lives."""
        return probes.triton(address)

    def is_installed(self) -> bool:
        """Whether its environment is made, or could be: Linux with a fitting Python."""
        return sys.platform == "linux" and (self._environment_is_whole() or _base_python() is not None)

    def start(self, wanted: Address) -> Address:
        """Make the environment if it is not whole, and start an empty server."""
        # HTTP one below gRPC and metrics one above, as in Triton's own 8000, 8001, 8002.
        port = first_free_block(wanted.port, (-1, 0, 1))
        address = Address("", "127.0.0.1", port)
        if not self._environment_is_whole():
            self._make_environment()
        server, version, library = run([str(self._python), "-c", FACTS]).split("\n")[:3]
        backends = self._lay_out_backends(Path(server), version)
        repository = self.folder / "repository"
        repository.mkdir(exist_ok=True)
        command = [
            f"{server}/bin/tritonserver",
            f"--backend-directory={backends}",
            f"--cache-directory={server}/caches",
            f"--model-repository={repository}",
            "--model-control-mode=explicit",
            # Else one model that fails to load, or is loading, makes the whole server "not ready".
            "--strict-readiness=false",
            "--http-address=127.0.0.1",
            f"--http-port={port - 1}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={port}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={port + 1}",
            # Two servers on one machine must not share a shared-memory name.
            f"--backend-config=python,shm-region-prefix-name=varanger_{port}_",
        ]
        start_daemon("server", command, self.folder, env=self._server_environment(Path(server), library))
        wait_until_it_answers("server", self.folder, lambda: self.complaint(address), 60)
        return address

    def stop(self) -> bool:
        """Stop the server and its models; its environment stays for the next start."""
        return stop_daemon("server", self.folder, patience=30)

    def more_variables(self, address: Address) -> dict[str, str]:
        """HTTP and metrics, and the repository folder, where this Triton is ours."""
        if "server" not in self.runs():
            return {}
        return {
            "VARANGER_TEST_TRITON_HTTP_URL": f"http://127.0.0.1:{address.port - 1}",
            "VARANGER_TEST_TRITON_METRICS_URL": f"http://127.0.0.1:{address.port + 1}/metrics",
            "VARANGER_TEST_TRITON_REPOSITORY": str(self.folder / "repository"),
        }

    @property
    def _environment_folder(self) -> Path:
        return self.folder / "environment"

    @property
    def _python(self) -> Path:
        return self._environment_folder / "bin" / "python"

    def _environment_is_whole(self) -> bool:
        mark = self._environment_folder / "installed"
        return mark.exists() and mark.read_text() == "\n".join(REQUIREMENTS) and self._python.exists()

    def _make_environment(self) -> None:
        base = _base_python()
        if base is None:
            raise ServiceError(f"no Python of {', '.join(PYTHON_VERSIONS)} with venv and pip was found.")
        print("  making Triton's own Python environment (about 130 MB to fetch) ...", flush=True)
        shutil.rmtree(self._environment_folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        run([base, "-m", "venv", str(self._environment_folder)])
        pip = [str(self._python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "install", *REQUIREMENTS])
        (self._environment_folder / "installed").write_text("\n".join(REQUIREMENTS))

    def _lay_out_backends(self, server: Path, version: str) -> Path:
        """The package's Python backend with this Python's stub, and our onnxruntime backend beside it."""
        backends = self.folder / "backends"
        shutil.rmtree(backends, ignore_errors=True)
        shutil.copytree(server / "backends", backends)
        stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
        shutil.copy2(stub, backends / "python" / stub.name)
        shutil.copytree(BACKENDS, backends, dirs_exist_ok=True)
        return backends

    def _server_environment(self, server: Path, library: str) -> dict[str, str]:
        # The stub loads libpython, from a folder the loader does not know where pyenv or uv built Python.
        libraries = [library, str(server.parent.parent / "nvidia_pytriton.libs")]
        earlier = os.environ.get("LD_LIBRARY_PATH")
        environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
        environment["LD_LIBRARY_PATH"] = ":".join(libraries + ([earlier] if earlier else []))
        environment["PATH"] = f"{self._python.parent}:{os.environ.get('PATH', '')}"
        return environment


def _base_python() -> str | None:
    """A Python that can make the environment: of a version the server knows, with venv and pip."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    running = [getattr(sys, "_base_executable", sys.executable)] if here in PYTHON_VERSIONS else []
    found = [find_program(f"python{version}") for version in PYTHON_VERSIONS]
    for candidate in [*running, *filter(None, found)]:
        check = [candidate, "-c", "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(check, capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip() in PYTHON_VERSIONS:
            return candidate
    return None
