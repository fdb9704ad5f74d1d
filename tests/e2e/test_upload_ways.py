"""The same card by every way to upload, through the real processes and a real S3 store: the same names, each file once."""

import shutil

import pytest
from tests.integration.app.test_reingest import WAYS, by_form, by_presigned, files_of, name_of, names

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def card(season, tmp_path_factory):
    """Six of the season's images, in two folders."""
    folder = tmp_path_factory.mktemp("ways") / "card"
    images = [one for one in season.media if one.deployment_id == season.deployments[0].deployment_id][:6]
    for number, one in enumerate(images):
        to = folder / "DCIM" / f"{100 + number % 2}RECNX" / f"IMG_{number // 2:04d}.JPG"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(season.folder / one.path, to)
    return folder


def test_no_way_changes_a_name_or_adds_a_media(running_system, new_run, card):
    files = files_of(card)
    first = new_run("form")
    first.client.put_deployment(first.project, "d", location_id="ridge")
    assert by_form(first.client, first.project, "d", files, card) == ["accepted"] * len(files)
    first.settle()
    before = names(first.client, first.project)
    assert len({name for name, _ in before.values()}) == len(files)

    for way, send in (WAYS | {"presigned": by_presigned(first.url, first.key)}).items():
        other = running_system.new_run(f"{first.project}-{way}")
        other.client.put_deployment(other.project, "d", location_id="ridge")
        assert send(other.client, other.project, "d", files[::-1], card.parent) == ["accepted"] * len(files), way
        assert send(first.client, first.project, "d", files[::-1], card.parent) == ["duplicate"] * len(files), way
        assert other.settle()["media"] == len(files), way
        again = names(other.client, other.project)
        assert {digest: name for digest, (name, _) in again.items()} == {
            digest: name for digest, (name, _) in before.items()
        }, way
    assert first.settle()["media"] == len(files)
    assert names(first.client, first.project) == before
    paths = {one.original_path for one in first.client.media(first.project, state="media")}
    assert paths == {name_of(file, card) for file in files}
