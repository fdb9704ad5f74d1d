"""Files: in which requests they go, what verdicts mean, and that none keeps another back."""

import hashlib
import tracemalloc

import httpx
import pytest

from varanger.client import GatewayAway, RequestRefused, UploadCorrupted, VarangerClient
from varanger.client.uploads.files import BATCH_BYTES, BATCH_FILES, batches, files_below


@pytest.fixture
def card(tmp_path):
    """A memory card with four photos and what else lies on cards."""
    for name in ("DCIM/100RECNX/IMG_0001.JPG", "DCIM/100RECNX/IMG_0002.JPG", "DCIM/101RECNX/IMG_0001.JPG", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for hidden in (".Trashes/IMG_9.JPG", "DCIM/.DS_Store"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"hidden")
    return tmp_path


NAMES = ["DCIM/100RECNX/IMG_0001.JPG", "DCIM/100RECNX/IMG_0002.JPG", "DCIM/101RECNX/IMG_0001.JPG", "a.txt"]


def test_a_folder_goes_in_one_request_with_its_paths(client, gateway, card):
    seen = []
    verdicts = client.upload_folder("p", "d", card, lane="bulk", on_progress=lambda *done: seen.append(done))
    assert gateway.sent() == [NAMES]
    assert [verdict.file for verdict in verdicts] == NAMES
    assert {verdict.verdict for verdict in verdicts} == {"accepted"}
    assert [verdict.sha256 for verdict in verdicts] == [hashlib.sha256(name.encode()).hexdigest() for name in NAMES]
    assert not any(verdict.repeated for verdict in verdicts)
    assert seen == [(4, 4)]
    [request] = gateway.requests
    assert (request.url.path, dict(request.url.params)) == ("/v1/projects/p/deployments/d/media", {"lane": "bulk"})


def test_an_empty_folder_asks_for_nothing(client, gateway, tmp_path):
    assert client.upload_folder("p", "d", tmp_path) == []
    assert gateway.requests == []


def test_files_alone_go_by_their_names(client, gateway, card):
    client.upload("p", "d", [card / NAMES[1]])
    assert gateway.sent() == [["IMG_0002.JPG"]]


def test_requests_are_bounded_in_number_and_size(tmp_path):
    small = [tmp_path / f"{number:03d}" for number in range(BATCH_FILES + 3)]
    large = tmp_path / "large"
    for path in [*small, large]:
        path.touch()
    with large.open("r+b") as file:
        file.truncate(BATCH_BYTES + 1)
    found = list(batches([*small, large, small[0], tmp_path / "gone"]))
    assert [len(batch) for batch in found] == [BATCH_FILES, 3, 1, 2]
    assert found[2] == [large]


def test_links_to_nowhere_are_left_out(card):
    (card / "dangling.jpg").symlink_to(card / "gone.jpg")
    assert [path.relative_to(card).as_posix() for path in files_below(card)] == NAMES


def test_a_lost_answer_makes_a_duplicate_that_says_so(client, gateway, card):
    """The gateway had taken the files when the connection was cut: the second try meets the first."""

    def take_then_cut(request):
        gateway.answer = None
        gateway.take(request)
        raise httpx.ReadError("connection reset")

    gateway.answer = take_then_cut
    verdicts = client.upload_folder("p", "d", card)
    assert gateway.sent() == [NAMES, NAMES], "files are read again from their beginning"
    assert {(verdict.verdict, verdict.repeated) for verdict in verdicts} == {("duplicate", True)}
    assert [verdict.media_id for verdict in verdicts] == ["media-1", "media-2", "media-3", "media-4"]


def test_a_connection_cut_in_the_middle_of_a_file(gateway, card):
    """Nothing was taken: the second try is the first the gateway knows of."""

    class Cut(httpx.BaseTransport):
        cuts = 1

        def handle_request(self, request):
            if self.cuts:
                self.cuts -= 1
                next(iter(request.stream))
                raise httpx.WriteError("broken pipe")
            request.read()
            return gateway.handle(request)

    with VarangerClient("http://gateway", "key", transport=Cut(), sleep=gateway.slept.append) as client:
        verdicts = client.upload_folder("p", "d", card)
    assert {(verdict.verdict, verdict.repeated) for verdict in verdicts} == {("accepted", True)}
    assert len(gateway.slept) == 1


def test_what_is_refused_in_company_is_sent_alone(client, gateway, refusal, card):
    def no_large_ones(request):
        return refusal(413, "too large") if b"101RECNX" in request.content else gateway.take(request)

    gateway.answer = no_large_ones
    verdicts = client.upload_folder("p", "d", card)
    assert gateway.sent() == [NAMES, *([name] for name in NAMES)]
    assert [verdict.verdict for verdict in verdicts] == ["accepted", "accepted", "rejected", "accepted"]
    assert verdicts[2].reason == "413 No: too large"
    assert verdicts[2].media_id is None
    assert verdicts[2].sha256 == hashlib.sha256(NAMES[2].encode()).hexdigest()


def test_a_verdict_rejected_by_the_gateway_is_passed_on(client, gateway, card):
    result = {"file": "a.txt", "verdict": "rejected", "media_id": None, "sha256": None, "reason": "no image"}
    gateway.next = [httpx.Response(201, json={"results": [result]})]
    [verdict] = client.upload("p", "d", [card / "a.txt"])
    assert (verdict.verdict, verdict.media_id, verdict.reason) == ("rejected", None, "no image")


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_refusal_that_meets_every_file_ends_the_upload(client, gateway, refusal, card, status):
    gateway.next = [refusal(status)]
    with pytest.raises(RequestRefused):
        client.upload_folder("p", "d", card)
    assert len(gateway.requests) == 1


def test_other_bytes_at_the_gateway_are_an_error(client, gateway, card):
    result = {"file": "a.txt", "verdict": "accepted", "media_id": "m", "sha256": "0" * 64, "reason": ""}
    gateway.next = [httpx.Response(201, json={"results": [result]})]
    with pytest.raises(UploadCorrupted, match=r"a\.txt"):
        client.upload("p", "d", [card / "a.txt"])


def test_a_file_that_grows_between_two_tries_is_hashed_again(client, gateway, card):
    path = card / "a.txt"

    def grow_and_fail(_):
        gateway.answer = None
        path.write_bytes(b"the camera was still writing")
        return httpx.Response(503)

    gateway.answer = grow_and_fail
    [verdict] = client.upload("p", "d", [path])
    assert verdict.sha256 == hashlib.sha256(b"the camera was still writing").hexdigest()


def test_a_file_that_cannot_be_read_keeps_no_other_back(client, gateway, card):
    files = [card / NAMES[0], card / "gone.jpg", card / "DCIM", card / NAMES[1]]
    verdicts = client.upload("p", "d", files, below=card)
    assert [verdict.verdict for verdict in verdicts] == ["accepted", "rejected", "rejected", "accepted"]
    assert verdicts[1].reason == "it cannot be read here: No such file or directory"
    assert verdicts[1].sha256 is None
    assert [name for names in gateway.sent() for name in names] == NAMES[:2]


@pytest.mark.parametrize("answer", [{}, [], {"results": []}, {"results": [{}, {}]}])
def test_an_answer_for_other_files_is_not_believed(client, gateway, card, answer):
    gateway.next = [httpx.Response(201, json=answer)]
    with pytest.raises(GatewayAway):
        client.upload("p", "d", [card / "a.txt"])


def test_names_that_are_no_utf8_are_sent_as_far_as_they_can_be_read(client, gateway, tmp_path):
    path = tmp_path / "b\udce6r.jpg"  # `bær.jpg` in Latin-1, as Python shows it
    try:
        path.write_bytes(b"bear")
    except OSError:
        return  # macOS refuses such names, so there are none
    [verdict] = client.upload_folder("p", "d", tmp_path)
    assert (verdict.file, verdict.verdict) == ("b?r.jpg", "accepted")


class Draining(httpx.BaseTransport):
    """Reads what is sent as a socket would, a chunk at a time, and keeps none of it."""

    def handle_request(self, request):
        digest, size = hashlib.sha256(), 0
        for chunk in request.stream:
            size += len(chunk)
            if not chunk.strip(b"\0"):  # the file holds nothing but zeros, what is around it does not
                digest.update(chunk)
        assert size == int(request.headers["content-length"])
        result = {"file": "x", "verdict": "accepted", "media_id": "m", "sha256": digest.hexdigest(), "reason": ""}
        return httpx.Response(201, json={"results": [result]})


def test_memory_does_not_follow_the_size_of_a_file(tmp_path):
    path = tmp_path / "long.mp4"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    with VarangerClient("http://gateway", "key", transport=Draining()) as client:
        tracemalloc.start()
        try:
            [verdict] = client.upload("p", "d", [path])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert verdict.verdict == "accepted"
    assert peak < 4 << 20
