"""What tests share: real services (each run gets its own vhost, database and bucket, removed at its end) and the
sample data, which is not part of the project."""

import os
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import structlog
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject

REPOSITORY = Path(__file__).resolve().parents[1]
SERVICES_ENV = Path(os.environ.get("VARANGER_SERVICES_DIR", REPOSITORY / ".varanger" / "services")) / "services.env"
DEFAULTS = {
    "VARANGER_TEST_AMQP_URL": "amqp://guest:guest@127.0.0.1:5672/",
    "VARANGER_TEST_POSTGRES_URL": "postgresql://postgres@127.0.0.1:5432/postgres",
    "VARANGER_TEST_S3_URL": "http://varanger:varanger-secret@127.0.0.1:15700",
    "VARANGER_TEST_TRITON_URL": "127.0.0.1:15801",
    "VARANGER_TEST_RABBITMQCTL": "rabbitmqctl",
}
RUN = f"varanger-test-{os.getpid()}-{secrets.token_hex(3)}"
"""The name of this run's vhost, database and bucket."""

SAMPLE_DATA_CANDIDATES = (os.environ.get("VARANGER_SAMPLE_DATA", ""), str(REPOSITORY.parent / "shared" / "data"))
SAMPLE_DATA = next(
    (
        Path(found) / "dev"
        for found in SAMPLE_DATA_CANDIDATES
        if found and (Path(found) / "dev" / "MANIFEST.tsv").exists()
    ),
    None,
)
"""Real camera-trap images; a stranger's clone does not have them."""
NEEDS_SAMPLE_DATA = "test_real_"
"""Test modules of this prefix are about real images; without them they are left out, and the summary says so."""


def configured(name: str) -> str:
    """A service's address: the environment, else what `make services` wrote, else the default."""
    if name in os.environ:
        return os.environ[name]
    if SERVICES_ENV.exists():
        for line in SERVICES_ENV.read_text().splitlines():
            key, _, value = line.partition("=")
            if key == name:
                return value
    return DEFAULTS[name]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what needs the sample data where there is none."""
    if SAMPLE_DATA is None and collection_path.name.startswith(NEEDS_SAMPLE_DATA):
        return True
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and why."""
    if SAMPLE_DATA is None:
        left_out = sorted(path.stem for path in (REPOSITORY / "tests").rglob(f"{NEEDS_SAMPLE_DATA}*.py"))
        terminalreporter.write_line(
            f"left out, no sample data at VARANGER_SAMPLE_DATA or ../shared/data: {', '.join(left_out)}"
        )


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """structlog's default draws tracebacks with all locals, a fifth of a second for each. Set for each test, because a
    test that runs a command has the command set up its own logs, on a stream that ends with it."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real images that MANIFEST.tsv describes."""
    assert SAMPLE_DATA is not None, f"this test belongs in a module named {NEEDS_SAMPLE_DATA}*.py"
    return SAMPLE_DATA


@pytest.fixture(scope="session")
def sample_data_or_none() -> Path | None:
    """The same, for a test that has something to do without it too."""
    return SAMPLE_DATA


def rabbitmqctl(*words: str) -> str:
    """Run the broker's own administration command."""
    command = [*shlex.split(configured("VARANGER_TEST_RABBITMQCTL")), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", "") or error
        pytest.fail(f"RabbitMQ cannot be administered ({output}): run `make services`", pytrace=False)
    return done.stdout


@pytest.fixture(scope="session")
def broker_admin() -> Callable[..., str]:
    """`rabbitmqctl`, for what a test does to virtual hosts of its own."""
    return rabbitmqctl


@pytest.fixture(scope="session")
def amqp_url() -> Iterator[str]:
    """A virtual host of this run's own."""
    url = urlsplit(configured("VARANGER_TEST_AMQP_URL"))
    rabbitmqctl("add_vhost", RUN)
    rabbitmqctl("set_permissions", "-p", RUN, url.username or "guest", ".*", ".*", ".*")
    yield url._replace(path=f"/{RUN}").geturl()
    rabbitmqctl("delete_vhost", RUN)


@pytest.fixture(scope="session")
def postgres_admin_url() -> str:
    """Where databases can be made."""
    url = configured("VARANGER_TEST_POSTGRES_URL")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        pytest.fail(f"PostgreSQL does not answer ({error}): run `make services`", pytrace=False)
    return url


@pytest.fixture
def postgres_url(postgres_admin_url: str) -> Iterator[str]:
    """An empty database, as a catalog URL; every test has its own."""
    name = f"{RUN}-{secrets.token_hex(4)}"
    with psycopg.connect(postgres_admin_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(postgres_admin_url)._replace(scheme="postgresql+psycopg", path=f"/{name}").geturl()
    with psycopg.connect(postgres_admin_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A bucket of this run's own, as an object-store URL."""
    url = urlsplit(configured("VARANGER_TEST_S3_URL"))
    secure = url.scheme == "https"
    pool = urllib3.PoolManager(timeout=10.0, retries=False)
    client = Minio(
        f"{url.hostname}:{url.port}",
        access_key=url.username,
        secret_key=url.password,
        secure=secure,
        region="us-east-1",
        http_client=pool,
    )
    try:
        client.make_bucket(RUN)
    except Exception as error:
        pytest.fail(f"the S3 store does not answer ({error}): run `make services`", pytrace=False)
    yield f"s3://{url.netloc}/{RUN}?secure={str(secure).lower()}"
    names = (DeleteObject(str(found.object_name)) for found in client.list_objects(RUN, recursive=True))
    faults = list(client.remove_objects(RUN, names))
    client.remove_bucket(RUN)
    pool.clear()
    assert not faults


@pytest.fixture(scope="session")
def triton_url() -> str:
    """A Triton in explicit mode, as a predictor URL."""
    import tritonclient.grpc as triton

    address = configured("VARANGER_TEST_TRITON_URL").removeprefix("triton://")
    try:
        with triton.InferenceServerClient(address) as client:
            assert client.is_server_live()
    except Exception as error:
        pytest.fail(f"Triton does not answer at {address} ({error}): run `make services`", pytrace=False)
    return f"triton://{address}"
