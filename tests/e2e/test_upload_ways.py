"""The same card by every way to upload, through the real processes and a real S3 store: the same names, each file once."""

import shutil

import pytest
from tests.e2e.system import wait_until
from tests.integration.app.test_reingest import WAYS, by_form, by_presigned, files_of, name_of, names

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def card(season, tmp_path_factory):
    """Four of the season's images, in two folders."""
    folder = tmp_path_factory.mktemp("ways") / "card"
    images = [one for one in season.media if one.deployment_id == season.deployments[0].deployment_id][:4]
    for number, one in enumerate(images):
        to = folder / "DCIM" / f"{100 + number % 2}RECNX" / f"IMG_{number // 2:04d}.JPG"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(season.folder / one.path, to)
    return folder


def test_no_way_changes_a_name_or_adds_a_media(new_run, card):
    files = files_of(card)
    run = new_run("form")
    client, first = run.client, run.project
    client.put_deployment(first, "d", location_id="ridge")
    assert by_form(client, first, "d", files, card) == ["accepted"] * len(files)
    run.settle()
    before = names(client, first)
    assert len({name for name, _ in before.values()}) == len(files)

    for way, send in (WAYS | {"presigned": by_presigned(run.url, run.key)}).items():
        other = f"{first}-{way}"
        client.create_project(other)
        client.put_deployment(other, "d", location_id="ridge")
        assert send(client, other, "d", files[::-1], card.parent) == ["accepted"] * len(files), way
        assert send(client, first, "d", files[::-1], card.parent) == ["duplicate"] * len(files), way
        wait_until(lambda other=other: client.stats(other).media == len(files), 60, run.logs)
        again = {digest: name for digest, (name, _) in names(client, other).items()}
        assert again == {digest: name for digest, (name, _) in before.items()}, way
    assert run.settle()["media"] == len(files)
    assert names(client, first) == before
    paths = {one.original_path for one in client.media(first, state="media")}
    assert paths == {name_of(file, card) for file in files}
