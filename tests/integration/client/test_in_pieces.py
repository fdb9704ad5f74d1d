"""Large files in pieces, and files by their digest, on links that cut connections."""

import json
import random
from pathlib import Path

import pytest
from tests.integration.client.bad_link import bad_link
from tests.integration.client.field_runs import NAMES, expected, rows, write
from tests.integration.client.gateways import DEPLOYMENT, PROJECT, FakeGateway, gateway_of

from varanger.client import AsyncVarangerClient, RequestRefused, VarangerClient

OPENAPI = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "openapi.json").read_text(encoding="utf-8"))
IN_PIECES = ["fake", *(["real"] if "/v1/uploads/tus" in OPENAPI["paths"] else [])]


@pytest.mark.parametrize("kind", IN_PIECES)
def test_a_large_file_goes_on_where_the_gateway_stands(field, kind, tmp_path):
    content = random.Random(1).randbytes(9 << 20)
    card = write(tmp_path / "card", {"long.mp4": content, "small.jpg": b"s"})
    with gateway_of(kind, tmp_path / "gateway") as gateway:
        with bad_link(gateway.url, seed=7, cut_share=1.0, longest_life=6 << 20) as link:
            through_it = type("Far", (), {"url": link.url, "key": gateway.key})
            assert field("send", card, through_it, "--large", "1M", "--tries", "100") == 0
            assert link.cuts > 0
        assert rows(gateway) == expected(card)
        if isinstance(gateway, FakeGateway):
            assert sum(end - begin for begin, end in gateway.pieces) == len(content), "no byte was kept twice"
            assert len(gateway.tus) == 1


def test_an_upload_that_has_expired_is_begun_again(field, fake, tmp_path):
    content = random.Random(1).randbytes(9 << 20)
    card = write(tmp_path / "card", {"long.mp4": content})
    refused = []

    def after_the_first_piece(method, _path):
        if method == "PATCH" and fake.pieces and not refused:
            refused.append(method)
            fake.tus.clear()

    fake.refuse = after_the_first_piece
    assert field("send", card, fake, "--large", "1M") == 0
    assert rows(fake) == expected(card)


@pytest.mark.parametrize("kind", IN_PIECES)
async def test_the_sdk_that_awaits_sends_by_digest_and_in_pieces(kind, tmp_path):
    content = random.Random(2).randbytes(9 << 20)
    card = write(tmp_path / "card", {"long.mp4": content, "small.jpg": b"s"})
    (_, long), (_, small) = expected(card)
    with gateway_of(kind, tmp_path / "gateway") as gateway:
        with bad_link(gateway.url, seed=9, cut_share=1.0, longest_life=6 << 20) as link:
            async with AsyncVarangerClient(link.url, gateway.key) as client:
                assert (await client.check(PROJECT, [long, small])).unknown == (long, small)
                offsets = []
                verdict = await client.upload_large(
                    PROJECT, DEPLOYMENT, card / "long.mp4", on_offset=offsets.append, cuts=50
                )
                assert (verdict.verdict, verdict.sha256) == ("accepted", long)
                assert offsets == sorted(offsets)
                assert offsets[-1] == len(content)
                put = await client.put_file(PROJECT, DEPLOYMENT, card / "small.jpg", sha256=small, name="small.jpg")
                assert put.verdict == "accepted"
                known = await client.check(PROJECT, [long, small])
        assert known.media_ids() == {long: verdict.media_id, small: put.media_id}
        assert rows(gateway) == expected(card)


def test_other_bytes_than_promised_are_kept_nowhere(gateway, card):
    with VarangerClient(gateway.url, gateway.key) as client:
        with pytest.raises(RequestRefused, match="422"):
            client.put_file(PROJECT, DEPLOYMENT, card / NAMES[0], sha256="0" * 64, name="x.jpg")
        assert client.check(PROJECT, ["0" * 64]).known == ()
    assert gateway.held() == []
