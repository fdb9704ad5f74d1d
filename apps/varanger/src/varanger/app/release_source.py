"""Finding a release bundle on disk, and publishing one to a project."""

from pathlib import Path

from varanger.api.application.record_releases import register
from varanger.common.catalog import Catalog
from varanger.common.errors import ReleaseInvalid
from varanger.common.messages import ReleaseRegistered
from varanger.common.ports.objects import ObjectStore
from varanger.common.releases import MANIFEST, object_prefix, read_bundle

DEMO_BUNDLE = Path(__file__).parent / "demo_release"


def find_bundle(name: str) -> Path:
    """The folder of `demo`, or the named folder.

    Raises:
        ReleaseInvalid: there is no manifest.
    """
    folder = DEMO_BUNDLE if name == "demo" else Path(name)
    if not (folder / MANIFEST).is_file():
        raise ReleaseInvalid(f"--release {name}: {folder} holds no {MANIFEST}; give `demo` or a release folder")
    return folder


async def publish_release(
    catalog: Catalog, objects: ObjectStore, project_id: str, bundle: Path, *, promote: bool
) -> str:
    """Check the bundle, store its files under `releases/<id>/`, register it; its id.

    Raises:
        ReleaseInvalid: the bundle does not hold together.
        BadMessage: there is no such project.
    """
    manifest = read_bundle(bundle)
    prefix = object_prefix(manifest.release_id)
    files = sorted(path for folder in ("models", "weights") for path in (bundle / folder).glob("*") if path.is_file())
    for path in files:
        await objects.put(f"{prefix}{path.relative_to(bundle).as_posix()}", path)
    await objects.put(f"{prefix}{MANIFEST}", manifest.to_canonical_json(), content_type="application/json")
    fact = ReleaseRegistered(release_id=manifest.release_id, manifest=manifest.document, promote=promote)
    async with catalog.writing() as session:
        await register(session, project_id, fact)
    return manifest.release_id
