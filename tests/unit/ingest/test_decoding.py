import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from varanger.ingest.adapters.decoding import decode_view, read_size
from varanger.ingest.domain import file_types
from varanger.ingest.domain.verdict import ImageUnreadable, QuarantineReason
from varanger.ingest.domain.view import LONG_SIDE, enough_can_be_seen, fit


def opened(data):
    return Image.open(io.BytesIO(data))


def difference(view, original, *, coarse=False):
    """Mean absolute difference in levels between a view and a full decode by Pillow, at the view's size.

    `coarse` compares at a tenth of it, where a palette's dither is gone.
    """
    seen, full = opened(view.data), original.convert("RGB")
    size = (seen.width // 10, seen.height // 10) if coarse else seen.size
    seen, full = (image.resize(size, Image.Resampling.BILINEAR) for image in (seen, full))
    return np.abs(np.asarray(seen, dtype=np.int16) - np.asarray(full, dtype=np.int16)).mean()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), (1280, 960)),
        ((3000, 4000), (960, 1280)),
        ((1280, 720), (1280, 720)),
        ((640, 480), (640, 480)),
        ((100_000, 3), (1280, 1)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_view_is_never_larger_and_never_nothing(size, expected):
    assert fit(*size) == expected


@pytest.mark.parametrize("size", [(4000, 3000), (2048, 1536), (1920, 1080), (1281, 700), (630, 170), (1, 1)])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_scaled_decode_shows_what_a_full_one_shows(draw, saved, size, progressive):
    data = draw(*size, progressive=progressive)
    path = saved(data)
    view = decode_view(path, file_types.JPEG)
    assert read_size(path, file_types.JPEG) == (view.original_width, view.original_height) == size
    shown = opened(view.data)
    assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", fit(*size))
    assert max(shown.size) <= LONG_SIDE
    assert difference(view, opened(data)) < 2.5
    assert not view.damaged


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "L"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "RGBA"),
        ("WEBP", "RGB"),
        ("TIFF", "CMYK"),
        ("BMP", "RGB"),
        ("GIF", "P"),
    ],
)
def test_odd_images_have_rgb_views_too(draw, saved, kind, mode):
    data = draw(1500, 1000, kind=kind, mode=mode)
    (file_type,) = [known for known in file_types.IMAGE_TYPES if known.name == kind]
    view = decode_view(saved(data), file_type)
    assert opened(view.data).mode == "RGB"
    assert opened(view.data).size == (1280, 853)
    assert difference(view, opened(data), coarse=True) < 2.5


def test_sixteen_bit_grey_keeps_its_brightness(saved):
    ramp = np.tile(np.linspace(0, 65535, 256, dtype=np.uint16), (64, 1))
    out = io.BytesIO()
    Image.fromarray(ramp).save(out, "PNG")
    seen = np.asarray(opened(decode_view(saved(out.getvalue()), file_types.PNG).data))[32, :, 0]
    assert abs(int(seen[0]) - 0) < 4
    assert abs(int(seen[128]) - 128) < 4
    assert abs(int(seen[255]) - 255) < 4


def test_what_is_transparent_is_shown_on_white(saved):
    out = io.BytesIO()
    Image.new("RGBA", (32, 32), (200, 0, 0, 0)).save(out, "PNG")
    assert np.asarray(opened(decode_view(saved(out.getvalue()), file_types.PNG).data)).min() > 250


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_type", [file_types.JPEG, file_types.PNG, file_types.TIFF, file_types.WEBP])
def test_the_view_is_turned_upright(draw, saved, exif, file_type, orientation):
    data = draw(200, 100, kind=file_type.name, exif=exif(orientation=orientation))
    path = saved(data)
    view = decode_view(path, file_type, orientation=orientation)
    assert read_size(path, file_type) == (200, 100)
    upright = ImageOps.exif_transpose(opened(data))
    assert opened(view.data).size == upright.size
    assert (view.original_width, view.original_height) == (200, 100)
    assert difference(view, upright) < 2.5


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_truncated_image_is_never_taken_but_a_jpeg(draw, saved, kept, kind):
    data = draw(200, 150, kind=kind)
    (file_type,) = [known for known in file_types.IMAGE_TYPES if known.name == kind]
    with pytest.raises(ImageUnreadable) as caught:
        decode_view(saved(data[: int(len(data) * kept)]), file_type)
    assert caught.value.verdict.reason in (QuarantineReason.TRUNCATED_IMAGE, QuarantineReason.CORRUPT_IMAGE)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(200, 150), (2000, 1500)])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.999])
def test_a_truncated_jpeg_is_media_as_far_as_it_can_be_seen(draw, saved, kept, size, mode):
    data = draw(*size, mode=mode)
    view = decode_view(saved(data[: int(len(data) * kept)]), file_types.JPEG)
    assert view.truncated
    assert not view.damaged
    seen, whole = opened(view.data), opened(data).convert("RGB")
    assert seen.size == fit(*size), "boxes are shares of the whole image"
    upper = (0, 0, seen.width, int(seen.height * kept * 0.5))
    gone = np.asarray(seen)[-4:] if kept < 0.9 else np.full(1, 128)
    assert np.abs(np.asarray(seen.crop(upper), np.int16) - np.asarray(whole.resize(seen.size).crop(upper))).mean() < 3
    assert np.abs(gone.astype(np.int16) - 128).max() < 4


@pytest.mark.parametrize("rows", [0, 2, 15])
def test_a_header_with_a_few_rows_of_picture_is_no_media(draw, saved, rows):
    data = draw(800, 600)
    scan = data.index(b"\xff\xda")
    with pytest.raises(ImageUnreadable) as caught:
        decode_view(saved(data[: scan + 14 + (len(data) - scan) * rows // 600]), file_types.JPEG)
    assert caught.value.verdict.reason == QuarantineReason.TRUNCATED_IMAGE


def test_a_jpeg_without_its_last_marker_alone_is_truncated(draw, saved):
    assert decode_view(saved(draw()[:-2]), file_types.JPEG).truncated


@pytest.mark.parametrize(("rows", "enough"), [(0, False), (74, False), (75, True), (600, True)])
def test_an_eighth_of_the_rows_is_enough(rows, enough):
    assert enough_can_be_seen(rows, 600) is enough


def test_a_harmless_oddity_is_media_and_noted(draw, saved):
    data = draw()
    scan = data.index(b"\xff\xda")
    view = decode_view(saved(data[:scan] + b"\x00\x00\x00" + data[scan:]), file_types.JPEG)
    assert view.damaged
    assert difference(view, opened(data)) < 2.5


def test_the_detail_never_names_our_own_folders(saved):
    path = saved(b"\xff\xd8\xff\xe0 no header follows")
    with pytest.raises(ImageUnreadable) as caught:
        read_size(path, file_types.JPEG)
    assert str(path) not in caught.value.verdict.detail


def test_a_file_that_is_gone_is_no_verdict(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_size(tmp_path / "gone", file_types.JPEG)


def test_no_broken_byte_raises_anything_but_a_verdict(draw, saved):
    """A few hundred images with random bytes changed: each is media or unreadable, nothing else."""
    random = np.random.default_rng(20261122)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"):
        data = draw(64, 48, kind=kind)
        (file_type,) = [known for known in file_types.IMAGE_TYPES if known.name == kind]
        for _ in range(60):
            broken = bytearray(data)
            for place in random.integers(12, len(data), 6):
                broken[place] = random.integers(0, 256)
            path = saved(bytes(broken))
            try:
                if np.prod(read_size(path, file_type)) < 1e7:
                    decode_view(path, file_type)
            except ImageUnreadable as error:
                assert error.verdict.detail
