import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from varanger.common.errors import ReleaseInvalid
from varanger.common.releases import parse_manifest, read_bundle, write_manifest

MODEL = b"not a model, but a file"
SHA = hashlib.sha256(MODEL).hexdigest()


def document(**changes: Any) -> dict[str, Any]:
    """A two-stage manifest as JSON holds it."""
    stage = {"sha256": SHA, "bytes": len(MODEL), "classes": ["hare", "person"], "input_size": 320}
    made = {
        "format": "varanger-release/1",
        "name": "test",
        "kind": "two_stage",
        "description": "",
        "licence": "CC0-1.0",
        "stages": {"global": stage, "expert:small": {**stage, "classes": ["hare"]}},
        "routing": {"groups": {"hare": "small"}},
    }
    return {**made, **changes}


def bundle(folder: Path, **changes: Any) -> Path:
    (folder / "models").mkdir()
    (folder / "models" / f"{SHA}.onnx").write_bytes(MODEL)
    (folder / "manifest.json").write_text(json.dumps(document(**changes)))
    return folder


def test_a_field_that_a_later_version_adds_renames_no_release() -> None:
    canonical = json.dumps(document(), sort_keys=True, separators=(",", ":")).encode()
    assert parse_manifest(document()).release_id == hashlib.sha256(canonical).hexdigest()
    later = document(added_later={"x": 1})
    assert parse_manifest(later).release_id != parse_manifest(document()).release_id
    assert parse_manifest(parse_manifest(later).document).release_id == parse_manifest(later).release_id


def test_spaces_and_order_do_not_rename_it_and_writing_keeps_it(tmp_path: Path) -> None:
    manifest = parse_manifest(json.dumps(document(), indent=3).encode())
    assert manifest.release_id == parse_manifest(document()).release_id
    assert write_manifest(manifest, tmp_path) == parse_manifest((tmp_path / "manifest.json").read_bytes()).release_id


def test_a_whole_bundle_is_read(tmp_path: Path) -> None:
    assert read_bundle(bundle(tmp_path)).groups == ("small",)


def test_a_changed_model_file_is_refused(tmp_path: Path) -> None:
    (bundle(tmp_path) / "models" / f"{SHA}.onnx").write_bytes(b"something else")
    with pytest.raises(ReleaseInvalid, match="not the file it is named after"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "classifier"}, "exactly one stage, 'classifier'"),
        ({"stages": {}}, "stages: "),
        ({"routing": {"groups": {"hare": "large"}}}, "'hare' goes to 'large', which has no stage"),
        ({"routing": {"groups": {"lynx": "small"}}}, "the expert 'small' does not know 'lynx'"),
        ({"routing": {"detection_floor": 2}}, "routing.detection_floor: "),
        ({"licence": None}, "licence: "),
    ],
)
def test_what_does_not_hold_together_names_the_field(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ReleaseInvalid, match=says):
        read_bundle(bundle(tmp_path, **changes))


def test_a_folder_without_a_manifest_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ReleaseInvalid, match="is this a release folder"):
        read_bundle(tmp_path)


def test_a_manifest_that_is_no_json_says_so() -> None:
    with pytest.raises(ReleaseInvalid, match="not JSON"):
        parse_manifest(b"{")
