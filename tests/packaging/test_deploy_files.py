"""What lies in deploy/ is well formed, agrees with the packages, and names only settings that exist.

No container engine is needed: Dockerfiles go through hadolint, Kubernetes objects through their published schemas,
and what no schema knows (commands, settings, secrets, hardening) is compared with the code here.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from varanger.common.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UPLOADER = DEPLOY / "field"
"""The field uploader has an environment of its own: tests/unit/client/field/test_service_unit.py."""
DOCKERFILES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))
COMPOSE_FILES = [*sorted((DEPLOY / "compose").glob("*.yaml")), DEPLOY / "local" / "compose.services.yaml"]
KUSTOMIZE_FOLDERS = sorted(path.parent for path in (DEPLOY / "k8s").rglob("kustomization.yaml"))
SERVICES = ("api", "ingest", "inference", "qc", "trainer")
PROCESSES = ("api", "relay", "recorder", "ingest", "inference", "qc", "trainer")
API_COMMANDS = {"serve", "relay", "recorder", "migrate"}

SETTINGS = {f"VARANGER_{name.upper()}" for name in Settings.model_fields}
"""Every setting that a process reads."""

LOCAL_SERVICES_VARIABLES = re.compile(r"VARANGER_(TEST_\w+|SERVICES_DIR)")
"""Variables of `make services`, which are no process's settings."""


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def kubernetes_files() -> Iterator[Path]:
    for path in sorted((DEPLOY / "k8s").rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield path


def built_in_objects() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in kubernetes_files():
        for document in documents(path):
            if not document["apiVersion"].startswith("keda.sh/"):
                yield path, document


def workloads() -> dict[str, dict[str, Any]]:
    found = [document for _, document in built_in_objects() if document["kind"] in {"Deployment", "Job"}]
    return {document["metadata"]["name"]: document for document in found}


def console_scripts() -> set[str]:
    scripts: set[str] = set()
    for path in [*ROOT.glob("services/*/pyproject.toml"), *ROOT.glob("apps/*/pyproject.toml")]:
        scripts |= set(tomllib.loads(path.read_text())["project"].get("scripts", {}))
    return scripts


def docker_instruction(path: Path, name: str) -> str:
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return next(line.removeprefix(name).strip() for line in reversed(lines) if line.startswith(name + " "))


def commands() -> dict[str, list[str]]:
    """The command of every container of ours, by where it is written."""
    found: dict[str, list[str]] = {}
    for path in DOCKERFILES:
        found[path.name] = yaml.safe_load(docker_instruction(path, "CMD"))
    compose = documents(DEPLOY / "compose" / "compose.yaml")[0]["services"]
    for name in (*PROCESSES, "migrate"):
        found[f"compose {name}"] = compose[name]["command"]
        found[f"k8s {name}"] = workloads()[name]["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


def test_there_is_an_image_for_every_service():
    assert {path.stem for path in DOCKERFILES} == set(SERVICES)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_hadolint_has_no_complaint(path: Path):
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_is_small_without_root_and_without_secrets(path: Path):
    text = path.read_text()
    assert docker_instruction(path, "USER") == "10001:10001"
    assert text.count("\nFROM python:${PYTHON_VERSION}-slim-bookworm") == 2, "a build stage and a small last stage"
    assert "HEALTHCHECK" in text
    assert "--constraint constraints.txt" in text
    assert f"services/{path.stem} " in text
    others = set(SERVICES) - {path.stem}
    assert not [other for other in others if f"services/{other}" in text], "only its own service is installed"
    assert not re.search(r"(?i)(password|secret|token|api_key)\s*=", text)
    ignore = path.with_name(path.name + ".dockerignore").read_text().splitlines()
    assert "*" in ignore, "nothing enters the build that is not named"


@pytest.mark.parametrize(("where", "command"), list(commands().items()), ids=list(commands()))
def test_every_command_is_a_console_script_of_ours(where: str, command: list[str]):
    assert command[0] in console_scripts(), where
    assert set(command[1:]) <= API_COMMANDS
    assert (command[0] == "varanger-api") == (len(command) == 2), (
        "the gateway's image needs a subcommand, no other does"
    )


def test_kubernetes_and_compose_run_the_same_commands():
    written = commands()
    for name in (*PROCESSES, "migrate"):
        assert written[f"compose {name}"] == written[f"k8s {name}"]


def test_only_known_settings_are_named():
    named: set[str] = set()
    for path in DEPLOY.rglob("*"):
        if path.suffix in {".py", ".yaml", ".env", ".example", ".Dockerfile"} and path.parent != UPLOADER:
            named |= set(re.findall(r"\bVARANGER_[A-Z0-9_]+", path.read_text()))
    unknown = {name for name in named - SETTINGS if not LOCAL_SERVICES_VARIABLES.match(name)}
    assert unknown <= {"VARANGER_TEST_"}, "deploy/ names settings that no process reads"


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_services_are_known(path: Path):
    everything = set(documents(DEPLOY / "compose" / "compose.yaml")[0]["services"])
    assert set(documents(path)[0]["services"]) <= everything


def test_compose_has_every_part_and_starts_in_order():
    services = documents(DEPLOY / "compose" / "compose.yaml")[0]["services"]
    foundations = {"rabbitmq", "postgres", "objects", "triton"}
    assert set(services) == {*foundations, "migrate", *PROCESSES}
    for name in foundations:
        assert services[name]["healthcheck"]["test"], name
        assert ":" in services[name]["image"], f"{name} names its version"
        assert "latest" not in services[name]["image"]
    for name in PROCESSES:
        waits = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
        assert waits.pop("migrate", "service_completed_successfully") == "service_completed_successfully"
        assert set(waits.values()) == {"service_healthy"}, name
        if "VARANGER_CATALOG_URL" in services[name]["environment"]:
            assert "migrate" in services[name]["depends_on"], f"{name} needs the tables"
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


def test_compose_takes_every_secret_from_the_env_file():
    text = (DEPLOY / "compose" / "compose.yaml").read_text()
    example = (DEPLOY / "compose" / ".env.example").read_text()
    variables = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert variables == set(re.findall(r"^([A-Z_]+)=", example, flags=re.M))
    for secret in re.findall(r"^ +\w*(?:PASS|SECRET|KEY)\w*: *(.+)", text, flags=re.M):
        assert secret.startswith("${"), "a secret is written into compose.yaml"


@pytest.mark.parametrize("name", ["ingest", "inference"])
def test_stateless_workers_get_no_database_secret(name: str):
    compose = documents(DEPLOY / "compose" / "compose.yaml")[0]["services"][name]
    assert "VARANGER_CATALOG_URL" not in compose["environment"]
    assert "varanger-catalog" not in yaml.safe_dump(workloads()[name])


@pytest.mark.parametrize(
    "document",
    [document for _, document in built_in_objects()],
    ids=lambda document: f"{document['kind']}-{document['metadata']['name']}",
)
def test_kubernetes_objects_fit_their_schema(document: dict[str, Any]):
    kubernetes_validate.validate(document, "1.31", strict=True)


@pytest.mark.parametrize("folder", KUSTOMIZE_FOLDERS, ids=lambda folder: folder.name)
def test_every_file_of_a_kustomization_exists_and_is_named(folder: Path):
    kustomization = documents(folder / "kustomization.yaml")[0]
    assert all((folder / resource).exists() for resource in kustomization["resources"])
    written = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}
    assert written == {resource for resource in kustomization["resources"] if resource.endswith(".yaml")}
    assert "secrets.example.yaml" not in kustomization["resources"], "example secrets are never applied"


@pytest.mark.parametrize("name", sorted(workloads()))
def test_pods_are_hardened_and_bounded(name: str):
    pod = workloads()[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_is_probed_for_progress_and_dependencies(name: str):
    container = workloads()[name]["spec"]["template"]["spec"]["containers"][0]
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_budgets_and_services_select_pods_that_exist():
    pods = {name: work["spec"]["template"]["metadata"]["labels"] for name, work in workloads().items()}
    for _, document in built_in_objects():
        spec = document.get("spec", {})
        if document["kind"] == "Service":
            assert spec["selector"] in pods.values()
        if document["kind"] == "PodDisruptionBudget":
            assert spec["selector"]["matchLabels"] in pods.values()


def test_triton_has_a_gpu_and_loads_nothing_by_itself():
    container = workloads()["triton"]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    compose = documents(DEPLOY / "compose" / "compose.yaml")[0]["services"]["triton"]
    for command in (container["args"], compose["command"]):
        assert "--model-control-mode=explicit" in command
        assert "--strict-readiness=false" in command


def test_autoscaling_scales_what_exists():
    path = DEPLOY / "k8s" / "overlays" / "autoscale" / "scaled-objects.yaml"
    scaled = [document for document in documents(path) if document["kind"] == "ScaledObject"]
    logins = {document["metadata"]["name"] for document in documents(path)} - {s["metadata"]["name"] for s in scaled}
    for document in scaled:
        name = document["spec"]["scaleTargetRef"]["name"]
        assert name in workloads()
        queues = {trigger["metadata"]["queueName"] for trigger in document["spec"]["triggers"]}
        assert queues == {f"{name}.live", f"{name}.bulk"}
        assert {trigger["authenticationRef"]["name"] for trigger in document["spec"]["triggers"]} <= logins


def test_example_urls_can_be_split_by_a_shell():
    for line in (DEPLOY / "compose" / ".env.example").read_text().splitlines():
        if line and not line.startswith("#"):
            assert len(shlex.split(line)) == 1
