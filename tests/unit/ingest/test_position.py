import math

import pytest

from varanger.ingest.domain.position import position

NOWHERE = (None, None)


def exif(latitude, north_south, longitude, east_west, **others):
    tags = {"Latitude": latitude, "LatitudeRef": north_south, "Longitude": longitude, "LongitudeRef": east_west}
    return {f"GPS:GPS{name}": value for name, value in {**tags, **others}.items()}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (exif(57.175, "N", 15.5, "E"), (57.175, 15.5)),
        (exif(33.5, "S", 70.5, "W"), (-33.5, -70.5)),
        (exif(33.5, "s\x00", 70.5, "west"), (-33.5, -70.5)),
        (exif(-33.5, "S", -70.5, "W"), (-33.5, -70.5)),
        (exif(-33.5, None, 70.5, ""), (-33.5, 70.5)),
        (exif("57.175", "N", "15.5", "E"), (57.175, 15.5)),
        (exif(0, "N", 0, "W"), (0, 0)),
        (exif(753.8, "N", 811.6, "E"), NOWHERE),
        (exif(50.0, "N", 811.6, "E"), NOWHERE),
        (exif("undef", "N", 15.5, "E"), NOWHERE),
        (exif(math.nan, "N", math.inf, "E"), NOWHERE),
        (exif(50.0, "N", None, None), NOWHERE),
        (exif(50.0, "N", 15.5, "E", Status="V"), NOWHERE),
        (exif(50.0, "N", 15.5, "E", Status="A"), (50.0, 15.5)),
        ({"Keys:GPSCoordinates": "-33.5 70.5 12"}, (-33.5, 70.5)),
        ({"UserData:GPSCoordinates": "-33.5, 70.5"}, (-33.5, 70.5)),
        ({"XMP-exif:GPSLatitude": -33.5, "XMP-exif:GPSLongitude": 70.5}, (-33.5, 70.5)),
        ({}, NOWHERE),
    ],
)
def test_positions_as_cameras_write_them(tags, expected):
    assert position(tags) == expected
