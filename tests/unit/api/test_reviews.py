import pytest

from varanger.common.catalog.tables import Job, MediaHistory, Outbox, QcRound, QcTask, Review
from varanger.common.ids import new_id
from varanger.common.messages import Envelope, QcRoundRequested, ReviewRecorded, TrainingRequested
from varanger.common.words import Observation, Prediction

FOX = Prediction(label="fox", confidence=0.7, route="classifier", observations=(Observation(taxon="fox", count=1),))
REVIEW = {"observer": "anna", "observations": [{"taxon": "fox", "count": 2, "certainty": "difficult"}]}


async def _owed(house, kind):
    return [Envelope.from_body(row.body) for row in await house.rows(Outbox) if row.type == kind.TYPE]


async def test_a_review_is_recorded_announced_and_in_force(house):
    media_id = await house.take_in("a.jpg")
    url = f"/v1/media/{media_id}/reviews"
    first = await house.post(url, REVIEW, "review")
    assert first.status_code == 201
    second = await house.post(url, {"observer": "anna", "observations": [], "comment": "a leaf"}, "review")
    assert second.json()["image_quality"] == "good"
    assert len(await house.rows(Review)) == 2
    [one, two] = await _owed(house, ReviewRecorded)
    assert str(one.payload.review_id) == first.json()["review_id"]
    assert two.payload.round_id is None
    whole = (await house.get(f"/v1/media/{media_id}")).json()
    assert whole["answer_in_force"]["review_id"] == second.json()["review_id"]
    assert whole["reviews"][0]["observations"] == REVIEW["observations"]
    assert [line["what"] for line in whole["history"]][-2:] == ["reviewed", "reviewed"]


async def test_an_adjudicated_review_stands_above_newer_ones(house):
    media_id = await house.take_in("a.jpg")
    url = f"/v1/media/{media_id}/reviews"
    strongest = await house.post(url, REVIEW | {"rank": "adjudicated"}, "review")
    await house.post(url, REVIEW, "review")
    await house.post(url, REVIEW | {"rank": "imported"}, "review")
    whole = (await house.get(f"/v1/media/{media_id}")).json()
    assert whole["answer_in_force"]["review_id"] == strongest.json()["review_id"]


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        ({"observer": ""}, "observer", "at least 1"),
        ({"observations": [{"taxon": "fox", "count": 0}]}, "observations.0.count", "greater than or equal to 1"),
        ({"observations": [{"taxon": "blank"}]}, "observations.0.taxon", "leave `observations` empty"),
        ({"observations": [{"taxon": "bad_quality"}]}, "observations.0.taxon", "image_quality"),
        ({"observations": [{"taxon": "fox", "certainty": "maybe"}]}, "observations.0.certainty", "difficult"),
        ({"image_quality": "poor"}, "image_quality", "bad_quality"),
        ({"rank": "boss"}, "rank", "adjudicated"),
        ({"observation": []}, "body", "did you mean 'observations'?"),
    ],
)
async def test_a_review_that_does_not_fit_is_refused(house, change, field, fix):
    media_id = await house.take_in("a.jpg")
    answer = await house.post(f"/v1/media/{media_id}/reviews", REVIEW | change, "review")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert fix in answer.json()["detail"]


async def test_reviews_need_their_scope_and_a_media(house):
    media_id = await house.take_in("a.jpg")
    assert (await house.post(f"/v1/media/{media_id}/reviews", REVIEW, "read")).status_code == 403
    assert (await house.post("/v1/projects/tundra/reviews", {"reviews": []}, "read")).status_code == 403
    [waiting] = (await house.upload(("b.jpg", b"b"))).json()["results"]
    answer = await house.post(f"/v1/media/{waiting['media_id']}/reviews", REVIEW, "review")
    assert answer.status_code == 409


async def test_many_reviews_are_recorded_all_or_none(house):
    ids = [str(await house.take_in(f"{n}.jpg")) for n in range(3)]
    many = [REVIEW | {"media_id": each} for each in ids]
    unknown = [*many, REVIEW | {"media_id": str(new_id())}]
    refused = await house.post("/v1/projects/tundra/reviews", {"reviews": unknown}, "review")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "reviews.3.media_id"
    assert await house.rows(Review) == []
    taken = await house.post("/v1/projects/tundra/reviews", {"reviews": many}, "review")
    assert [each["media_id"] for each in taken.json()["reviews"]] == ids
    assert len(await _owed(house, ReviewRecorded)) == 3
    too_many = await house.post("/v1/projects/tundra/reviews", {"reviews": many * 334}, "review")
    assert too_many.status_code == 422
    assert (await house.post("/v1/projects/tundra/reviews", {"reviews": []}, "review")).status_code == 422


async def test_somebody_seeing_people_makes_it_private(house):
    media_id = await house.take_in("a.jpg")
    await house.post(f"/v1/media/{media_id}/reviews", REVIEW | {"observations": [{"taxon": "person"}]}, "review")
    assert (await house.get(f"/v1/media/{media_id}/view")).status_code == 403


async def test_a_round_is_asked_for_and_its_tasks_hide_the_machines_answer(house):
    release = await house.put_in_force("fox")
    media_id = await house.take_in("a.jpg", None, FOX)
    other_id = await house.take_in("b.jpg", None, FOX)
    asked = await house.post("/v1/projects/tundra/qc/rounds", {"design": {"overall": 10, "seed": 4}}, "review")
    assert asked.status_code == 202
    round_id = asked.json()["round_id"]
    assert asked.headers["location"] == f"/v1/qc/rounds/{round_id}"
    [command] = await _owed(house, QcRoundRequested)
    assert str(command.payload.round_id) == round_id == str(command.job_id)
    [job] = await house.rows(Job)
    assert (job.owner, job.state, job.spec) == (
        "qc",
        "requested",
        {"design": {"overall": 10, "seed": 4}, "release_id": release},
    )
    found = (await house.get(f"/v1/qc/rounds/{round_id}")).json()
    assert (found["state"], found["report"]) == ("requested", None)

    async with house.catalog.writing() as session:
        session.add(QcRound(round_id=job.job_id, project_id="tundra", release_id=release, report={"accuracy": 1.0}))
        for position, each in enumerate([media_id, other_id]):
            session.add(
                QcTask(
                    round_id=job.job_id,
                    media_id=each,
                    project_id="tundra",
                    position=position,
                    camera_setup="default",
                    label="fox",
                    confidence=0.7,
                    samples=["overall", "class:fox"],
                    inclusion_probability=1.0,
                )
            )
    tasks = await house.get(f"/v1/qc/rounds/{round_id}/tasks", "review", limit=1)
    assert "fox" not in tasks.text
    assert "0.7" not in tasks.text
    [task] = tasks.json()["items"]
    assert task["media_id"] == str(media_id)
    assert (await house.get(f"/v1/qc/rounds/{round_id}/tasks", "read")).status_code == 403

    given = REVIEW | {"round_id": round_id}
    assert (await house.post(f"/v1/media/{media_id}/reviews", given, "review")).status_code == 201
    rest = (await house.get(f"/v1/qc/rounds/{round_id}/tasks", "review", observer="anna")).json()
    assert [task["media_id"] for task in rest["items"]] == [str(other_id)]
    everyone = (await house.get(f"/v1/qc/rounds/{round_id}/tasks", "review", cursor=-1)).json()
    assert [task["answered_by"] for task in everyone["items"]] == [["anna"], []]
    stranger = await house.take_in("c.jpg", None, FOX)
    wrong = await house.post(f"/v1/media/{stranger}/reviews", given, "review")
    assert wrong.status_code == 422
    assert "did not draw" in wrong.json()["detail"]
    [listed] = (await house.get("/v1/projects/tundra/qc/rounds")).json()
    assert listed["report"] == {"accuracy": 1.0}
    assert (await house.get(f"/v1/qc/rounds/{new_id()}")).status_code == 404


async def test_a_training_run_is_a_job_with_its_command(house):
    spec = {"name": "small", "groups": {"large": ["fox"]}}
    asked = await house.post("/v1/projects/tundra/training-runs", {"spec": spec})
    assert asked.status_code == 202
    run_id = asked.json()["job_id"]
    [command] = await _owed(house, TrainingRequested)
    assert str(command.payload.run_id) == run_id
    assert (await house.get(asked.headers["location"])).json()["spec"] == spec
    assert len((await house.get("/v1/projects/tundra/training-runs")).json()) == 1
    assert (await house.get(f"/v1/jobs/{run_id}")).json()["kind"] == "training_run"
    assert (await house.get("/v1/projects/tundra/jobs", kind="qc_round")).json() == []
    assert (await house.get(f"/v1/qc/rounds/{run_id}")).status_code == 404
    assert (await house.post("/v1/projects/tundra/training-runs", {"spec": {}})).status_code == 422
    assert (await house.post("/v1/projects/tundra/training-runs", {"spec": spec}, "review")).status_code == 403


async def test_history_is_written_with_the_review(house):
    media_id = await house.take_in("a.jpg")
    await house.post(f"/v1/media/{media_id}/reviews", REVIEW, "review")
    [line] = [row for row in await house.rows(MediaHistory) if row.what == "reviewed"]
    assert line.details["observer"] == "anna"
