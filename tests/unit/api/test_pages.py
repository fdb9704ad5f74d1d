import dataclasses
from html.parser import HTMLParser

import pytest

from varanger.api.gateway.app import openapi_document
from varanger.common.errors import DependencyDown
from varanger.common.words import Detection, Observation, Prediction

FOX = Prediction(
    label="fox",
    confidence=0.9,
    route="global>expert:large",
    observations=(Observation(taxon="fox", count=2),),
    detections=(Detection(stage="expert:large", label="fox", confidence=0.9, bbox=(0.1, 0.2, 0.3, 0.4)),),
)
PERSON = Prediction(label="person", confidence=0.9, route="global", private=True)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]


async def test_the_page_shows_counts_finds_and_images_with_their_boxes(house):
    await house.put_in_force("fox", "person")
    media_id = await house.take_in("a.jpg", None, FOX)
    private_id = await house.take_in("p.jpg", None, PERSON)
    answer = await house.get("/", project="tundra")
    assert answer.status_code == 200
    page = Page(answer.text)
    assert {"src": f"/v1/media/{media_id}/view"}.items() <= page.all("img")[0].items()
    [box] = page.all("rect")
    assert (box["x"], box["y"], box["width"], box["height"]) == ("100.0", "150.0", "300.0", "300.0")
    assert f"/v1/media/{private_id}/view" not in answer.text
    assert "global&gt;expert:large" in answer.text
    assert page.all("html")[0]["lang"] == "en"
    assert all("alt" in image for image in page.all("img"))
    assert page.all("script") == []
    linked = [attrs.get("href") or attrs.get("src") for tag in ("a", "link", "img") for attrs in page.all(tag)]
    assert all(target.startswith(("/", "#", "data:")) for target in linked)
    reviewer = await house.get("/", "review")
    assert f"/v1/media/{private_id}/view" in reviewer.text


async def test_the_page_of_a_project_that_is_empty_or_unknown(house):
    assert (await house.get("/")).status_code == 200
    assert (await house.get("/", project="nowhere")).status_code == 404


async def test_what_people_write_is_escaped(house):
    await house.post("/v1/projects", {"project_id": "a", "title": "<script>alert(1)</script>"})
    assert "<script>" not in (await house.get("/")).text


async def test_the_api_page_lists_every_operation_without_a_script(house):
    answer = await house.client.get("/docs")
    assert answer.status_code == 200
    page = Page(answer.text)
    assert page.all("script") == []
    operations = [method for methods in openapi_document()["paths"].values() for method in methods]
    assert len(page.all("details")) == len(operations) > 30
    style = await house.client.get("/static/varanger.css")
    assert style.status_code == 200


async def test_openapi_names_key_body_and_problems(house):
    document = (await house.client.get("/openapi.json")).json()
    assert document == openapi_document()
    upload = document["paths"]["/v1/projects/{project}/deployments/{deployment}/media"]["post"]
    assert "multipart/form-data" in upload["requestBody"]["content"]
    assert upload["security"] == [{"key": []}]
    assert "application/problem+json" in upload["responses"]["413"]["content"]
    assert "security" not in document["paths"]["/livez"]["get"]
    identifiers = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(identifiers) == len(set(identifiers))


class Down:
    async def ping(self):
        raise DependencyDown("no route")


async def test_liveness_asks_no_database_and_readiness_everything(house):
    assert (await house.client.get("/livez")).status_code == 200
    assert (await house.client.get("/readyz")).status_code == 200
    gateway = house.app.state.gateway
    health = gateway.health
    from varanger.common.telemetry.health import Health

    broken = Health("api", gateway.progress, {"catalog": Down().ping, "objects": house.objects.ping})
    broken.started = True
    house.app.state.gateway = dataclasses.replace(gateway, health=broken)
    answer = await house.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"catalog": "no route", "objects": "ok"}
    assert (await house.client.get("/livez")).status_code == 200
    assert health.started


async def test_metrics_count_verdicts(house):
    await house.upload(("a.jpg", b"a"))
    text = (await house.client.get("/metrics")).text
    assert 'varanger_uploads_total{verdict="accepted"}' in text


async def test_a_catalog_that_is_down_is_503(house, monkeypatch):
    from varanger.api.adapters import key_rows

    async def no_answer(*_):
        raise DependencyDown("catalog: connection refused")

    monkeypatch.setattr(key_rows, "find_live", no_answer)
    answer = await house.get("/v1/projects")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("path", ["/v1/projects", "/"])
async def test_a_method_that_is_not_there_is_a_problem(house, path):
    answer = await house.client.delete(path, headers=house.auth())
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
