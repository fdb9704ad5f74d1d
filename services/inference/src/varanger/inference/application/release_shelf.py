"""The releases a worker has at hand, read from the object store when first asked for."""

import hashlib
from collections import OrderedDict

from varanger.common.errors import StoreFault
from varanger.common.ports.objects import ObjectStore
from varanger.common.releases import MANIFEST, ReleaseManifest, object_prefix, parse_manifest
from varanger.common.words import ReleaseId


class ReleaseShelf:
    """Manifests by release id, the longest unused put away first. A release never changes, so none grows stale."""

    def __init__(self, objects: ObjectStore, *, places: int = 32) -> None:
        self._objects = objects
        self._places = places
        self._manifests: OrderedDict[ReleaseId, ReleaseManifest] = OrderedDict()

    async def get(self, release_id: ReleaseId) -> ReleaseManifest:
        """The release's manifest.

        Raises:
            ObjectMissing: no such release.
            StoreFault: the stored manifest is not the one the id names.
            ReleaseInvalid: the manifest does not hold together.
        """
        manifest = self._manifests.get(release_id)
        if manifest is None:
            key = object_prefix(release_id) + MANIFEST
            data = await self._objects.get(key)
            if hashlib.sha256(data).hexdigest() != release_id:
                raise StoreFault(f"{key}: these bytes are not the manifest that the release is named after")
            manifest = self._manifests[release_id] = parse_manifest(data)
        self._manifests.move_to_end(release_id)
        while len(self._manifests) > self._places:
            self._manifests.popitem(last=False)
        return manifest
