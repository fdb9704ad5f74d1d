"""What a field gateway, an ingest pod and a GPU pod install: built wheels in fresh environments, and only what each needs.

Needs a package index. Probes are functions of this file whose source runs in the other environment, so each imports
for itself.
"""

import inspect
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

pytestmark = pytest.mark.timeout(900)
"""Most of it is downloading, the first time."""

ROOT = Path(__file__).resolve().parents[2]
PARTS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
CONSTRAINTS = ROOT / "constraints.txt"
PIP = (sys.executable, "-m", "pip")
AT_ONCE = 3
"""Most of a build and of an installation is waiting."""
LIGHT = ("varanger-ingest", "varanger-inference", "varanger-client")
NO_DATABASE_NO_WEB_NO_TORCH = ("torch", "sqlalchemy", "sqlmodel", "psycopg", "alembic", "fastapi", "starlette")


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment with one distribution and what it asks for."""

    folder: Path

    def probe(self, function: Callable[..., None], *words: str | Path) -> str:
        """Run a function of this file there, with words as its arguments: the last line it writes."""
        script = self.folder / f"{function.__name__}.py"
        script.write_text(f"import sys\n\n{inspect.getsource(function)}\n{function.__name__}(*sys.argv[1:])\n")
        command = [self.folder / "bin" / "python", "-I", "-W", "error", script, *words]
        return (run_quietly(command, cwd=self.folder).splitlines() or [""])[-1]


def run_quietly(command: list[str | Path], *, cwd: Path) -> str:
    foreign = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def empty_environment(folder: Path) -> Path:
    """A fresh environment's interpreter. pip works on it from outside, so that not even pip is in it."""
    run_quietly([sys.executable, "-m", "venv", "--without-pip", folder], cwd=folder.parent)
    return folder / "bin" / "python"


def toml(part: Path) -> dict[str, Any]:
    return tomllib.loads((part / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of every part, built from copies: the source tree stays as it is."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = tmp_path_factory.mktemp("sources")
    leftovers = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__")
    builder = empty_environment(tmp_path_factory.mktemp("builder"))
    required = {each for part in PARTS for each in toml(part)["build-system"]["requires"]}
    run_quietly([*PIP, "--python", builder, "install", "-q", *sorted(required)], cwd=sources)

    def build(part: Path) -> None:
        copy = shutil.copytree(part, sources / part.parent.name / part.name, ignore=leftovers)
        alone = ["--no-deps", "--no-build-isolation"]  # one environment builds all: quicker than one for each
        run_quietly([*PIP, "--python", builder, "wheel", *alone, "-q", "-w", folder, copy], cwd=sources)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(build, PARTS))
    return folder


@pytest.fixture(scope="session")
def environments(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Environment]:
    """One environment per light distribution, made side by side."""
    folder = tmp_path_factory.mktemp("environments")
    constrained = ["-c", CONSTRAINTS] if CONSTRAINTS.exists() else []

    def make(distribution: str) -> Environment:
        made = Environment(folder / distribution)
        python = empty_environment(made.folder)
        install = ["install", "-q", "--no-compile", "--find-links", wheels, *constrained, distribution]
        run_quietly([*PIP, "--python", python, *install], cwd=folder)
        return made

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(LIGHT, pool.map(make, LIGHT), strict=True))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_wheel_holds_every_file_of_its_sources(part: Path, wheels: Path) -> None:
    source = part / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and not {"__pycache__"} & set(path.parts) and ".egg-info" not in str(path)
    }
    [package] = {name.split("/")[1] for name in wanted}
    [wheel] = [path for path in wheels.iterdir() if path.name.startswith(f"{wheel_name(part)}-")]
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == wanted
    assert f"varanger/{package}/py.typed" in found
    assert "varanger/__init__.py" not in found, "it would hide the other parts: this is a namespace package"


def wheel_name(part: Path) -> str:
    return "varanger" if part.parent.name == "apps" else f"varanger_{part.name}"


def test_what_is_not_python_is_in_the_wheels(wheels: Path) -> None:
    """Named here too, so that a file that leaves the sources is missed."""
    names = {name for wheel in wheels.iterdir() for name in zipfile.ZipFile(wheel).namelist()}
    assert "varanger/common/catalog/migrations/script.py.mako" in names
    assert "varanger/common/catalog/migrations/versions/0001_the_first_tables.py" in names
    assert "varanger/api/gateway/templates/base.html" in names
    assert "varanger/api/gateway/static/varanger.css" in names


@pytest.mark.parametrize("distribution", ["varanger-ingest", "varanger-inference"])
def test_no_torch_no_database_no_web_framework(environments: dict[str, Environment], distribution: str) -> None:
    environments[distribution].probe(find_none_of, *NO_DATABASE_NO_WEB_NO_TORCH)


def find_none_of(*modules: str) -> None:
    from importlib.util import find_spec

    found = [module for module in modules if find_spec(module) is not None]
    assert not found, f"installed, and must not be: {found}"


def test_ingest_has_its_command_and_examines_a_file(environments: dict[str, Environment], tmp_path: Path) -> None:
    environment = environments["varanger-ingest"]
    assert os.access(environment.folder / "bin" / "varanger-ingest", os.X_OK)
    photo = drawn_photo(tmp_path / "IMG_0001.JPG")
    [found] = json.loads(environment.probe(inspect_as_json, photo))
    assert (found["verdict"], found["width"], found["height"]) == ("media", 320, 240)


def drawn_photo(path: Path) -> Path:
    coarse = np.random.default_rng(1).integers(60, 200, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((320, 240)).save(path, "JPEG")
    return path


def inspect_as_json(*files: str) -> None:
    import json
    from pathlib import Path

    from varanger.ingest.application.inspect import inspect_files

    sys.stdout.write(json.dumps(list(inspect_files(map(Path, files)))))


def test_ingest_runs_as_a_service(environments: dict[str, Environment], tmp_path: Path) -> None:
    photo = drawn_photo(tmp_path / "IMG_0001.JPG")
    text = tmp_path / "IMG_0002.JPG"
    text.write_text("no image")
    answer = environments["varanger-ingest"].probe(ingest_files, tmp_path / "objects", photo, text)
    facts = json.loads(answer)
    assert facts == {"IMG_0001.JPG": "media.stored.v1", "IMG_0002.JPG": "media.quarantined.v1"}
    assert len(list((tmp_path / "objects").glob("media/p/D1/*.jpg"))) == 1
    assert len(list((tmp_path / "objects").glob("views/p/*.jpg"))) == 1


def ingest_files(objects_folder: str, *files: str) -> None:
    import asyncio
    import hashlib
    import json
    from contextlib import AsyncExitStack
    from datetime import UTC, datetime
    from pathlib import Path

    from varanger.common import topology
    from varanger.common.adapters.bus_memory import MemoryBus
    from varanger.common.adapters.objects_file import FileObjectStore
    from varanger.common.ids import new_id
    from varanger.common.messages import Envelope, MediaUploaded
    from varanger.common.ports.bus import Delivery
    from varanger.common.process import Wiring, run_service
    from varanger.common.settings import Settings
    from varanger.common.words import DeploymentSnapshot
    from varanger.ingest.main import build

    async def run() -> None:
        names, facts, complete = {}, {}, asyncio.Event()
        async with AsyncExitStack() as stack:
            stop = asyncio.Event()
            wiring = Wiring(Settings(bus_url="memory://", objects_url=f"file://{objects_folder}"), stack, stop)
            service = await build(wiring)
            bus, objects = await wiring.bus(), await wiring.objects()
            assert isinstance(bus, MemoryBus)
            assert isinstance(objects, FileObjectStore)

            async def record(delivery: Delivery) -> None:
                envelope = Envelope.from_body(delivery.body)
                facts[names[envelope.payload.media_id]] = envelope.type
                await delivery.ack()
                if len(facts) == len(files):
                    complete.set()

            for queue in topology.RECORDER:
                await bus.consume(queue.name, record, prefetch=10)
            running = asyncio.create_task(run_service(service, stop))
            for path in map(Path, files):
                data, media_id = path.read_bytes(), new_id()
                names[media_id] = path.name
                await objects.put(f"incoming/p/{media_id}", data)
                upload = MediaUploaded(
                    media_id=media_id,
                    deployment=DeploymentSnapshot(deployment_id="D1", location_id="L1"),
                    incoming_key=f"incoming/p/{media_id}",
                    sha256=hashlib.sha256(data).hexdigest(),
                    bytes=len(data),
                    original_name=path.name,
                    uploaded_at=datetime.now(UTC),
                )
                await bus.publish([Envelope.wrap(upload, project_id="p", producer="probe")])
            async with asyncio.timeout(60):
                await complete.wait()
            stop.set()
            await running
        sys.stdout.write(json.dumps(facts))

    asyncio.run(run())


def test_inference_answers_with_onnx_and_routes_two_stages(
    environments: dict[str, Environment], tmp_path: Path
) -> None:
    environment = environments["varanger-inference"]
    assert os.access(environment.folder / "bin" / "varanger-inference", os.X_OK)
    model = tmp_path / "model.onnx"
    model.write_bytes(colour_model())
    red = tmp_path / "red.jpg"
    Image.new("RGB", (64, 64), (255, 0, 0)).save(red, "JPEG", quality=95)
    answer = json.loads(environment.probe(classify, model, red, tmp_path / "objects"))
    assert answer["classifier"]["label"] == "lemming"
    assert {detection["stage"] for detection in answer["two_stage"]["detections"]} <= {"global", "expert:small"}
    assert 0 <= answer["two_stage"]["confidence"] <= 1


def colour_model() -> bytes:
    """A classifier whose scores are an image's mean red, green and blue."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["colour"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["colour", "white"], ["scores"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 64, 64, 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])
    white = numpy_helper.from_array(np.asarray(255, np.float32), "white")
    model = helper.make_model(
        helper.make_graph(nodes, "colour", [images], [scores], [white]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    return bytes(model.SerializeToString())


def classify(model_file: str, image_file: str, objects_folder: str) -> None:
    import asyncio
    import hashlib
    import json
    from contextlib import ExitStack
    from pathlib import Path

    from varanger.common.adapters import open_predictor
    from varanger.common.adapters.objects_file import FileObjectStore
    from varanger.common.ids import new_id
    from varanger.common.messages import ClassificationRequested, Envelope
    from varanger.common.releases import ReleaseManifest, RoutingRule, StageModel
    from varanger.common.settings import Settings
    from varanger.common.words import Purpose
    from varanger.inference.main import build_inference

    data, view = Path(model_file).read_bytes(), Path(image_file).read_bytes()
    digest = hashlib.sha256(data).hexdigest()

    def release(kind: str, stages: dict[str, tuple[str, ...]], **groups: str) -> ReleaseManifest:
        return ReleaseManifest(
            name="probe",
            kind=kind,
            description="red, green, blue",
            licence="Apache-2.0",
            stages={
                name: StageModel(sha256=digest, bytes=len(data), classes=classes, input_size=64)
                for name, classes in stages.items()
            },
            routing=RoutingRule(groups=groups),
        )

    animals = ("hare", "red_deer", "person")
    asked = {
        "onnx://": release("classifier", {"classifier": ("lemming", "empty", "bad_quality")}),
        "fixed://": release("two_stage", {"global": animals, "expert:small": animals}, hare="small"),
    }

    async def run() -> None:
        objects, answers = FileObjectStore(Path(objects_folder)), {}
        await objects.put("views/p/red.jpg", view)
        for url, manifest in asked.items():
            await objects.put(f"releases/{manifest.release_id}/manifest.json", manifest.to_canonical_json())
            await objects.put(f"releases/{manifest.release_id}/models/{digest}.onnx", data)
            request = ClassificationRequested(
                media_id=new_id(),
                release_id=manifest.release_id,
                purpose=Purpose.INTAKE,
                key="media/p/D1/red.jpg",
                view_key="views/p/red.jpg",
                sha256=hashlib.sha256(view).hexdigest(),
            )
            predictor = open_predictor(url, objects.get)
            with ExitStack() as resources:
                handler = build_inference(Settings(), objects, predictor, resources)
                [answer] = await handler([Envelope.wrap(request, project_id="p", producer="probe")])
            await predictor.close()
            answers[manifest.kind] = answer.payload.prediction.model_dump(mode="json")
        await objects.close()
        sys.stdout.write(json.dumps(answers))

    asyncio.run(run())


def test_the_client_needs_httpx_alone(environments: dict[str, Environment], tmp_path: Path) -> None:
    environment = environments["varanger-client"]
    installed = json.loads(environment.probe(list_distributions))
    assert installed["varanger-client"] == ["httpx"]
    needed, waiting = set(), ["varanger-client"]
    while waiting:
        name = waiting.pop()
        if name not in needed and name in installed:
            needed.add(name)
            waiting += installed[name]
    assert set(installed) == needed
    answer = json.loads(environment.probe(upload_to_itself, drawn_photo(tmp_path / "IMG_0001.JPG")))
    assert answer == ["IMG_0001.JPG", "accepted", "7"]
    assert "send | watch | status" in run_quietly(
        [environment.folder / "bin" / "varanger-field", "--help"], cwd=tmp_path
    )


def list_distributions() -> None:
    import json
    import re
    from importlib.metadata import distributions

    def normal(requirement: str) -> str:
        [name] = re.findall(r"^[A-Za-z0-9._-]+", requirement)
        return re.sub(r"[-_.]+", "-", name).lower()

    found = {
        normal(one.metadata["Name"]): sorted({normal(each) for each in one.requires or [] if "extra ==" not in each})
        for one in distributions()
    }
    sys.stdout.write(json.dumps(found))


def upload_to_itself(file: str) -> None:
    import hashlib
    import json
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from pathlib import Path
    from threading import Thread

    from varanger.client import VarangerClient

    path = Path(file)
    result = {
        "file": path.name,
        "verdict": "accepted",
        "media_id": "7",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "reason": "",
    }

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert path.read_bytes() in body
            answer = json.dumps({"results": [result]}).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with VarangerClient(f"http://127.0.0.1:{server.server_port}", "key") as client:
            [verdict] = client.upload("p", "d", [path])
        server.shutdown()
    sys.stdout.write(json.dumps([verdict.file, verdict.verdict, verdict.media_id]))
