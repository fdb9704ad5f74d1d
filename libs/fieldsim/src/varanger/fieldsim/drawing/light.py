"""What light does to a site and to what stands in it: sun and clouds by day, the infrared flash by night."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from varanger.fieldsim.drawing.noise import Field, fractal_noise, luminance
from varanger.fieldsim.drawing.site import Site


@dataclass(frozen=True)
class Light:
    """The light of one event.

    Attributes:
        gain: float32 [height, width], brightness at each place.
        tint: float32 [3], brightness of each colour.
        saturation: 1 all colour, 0 grey.
        haze: float32 [height], share of haze in each row.
        haze_grey: Brightness of the haze.
        grain: Standard deviation of the sensor noise in grey levels.
    """

    gain: Field
    tint: Field
    saturation: float
    haze: Field
    haze_grey: float
    grain: float

    @property
    def grey(self) -> bool:
        """Whether images in this light have no colour."""
        return self.saturation == 0.0

    def on(self, colours: Field, gain: Field, haze: Field) -> Field:
        """Colours [height, width, 3] as this light shows them; [height, width, 1] if it is grey."""
        shade = luminance(colours)[..., None]
        lit = shade if self.grey else (shade + (colours - shade) * np.float32(self.saturation)) * self.tint
        return np.asarray(
            lit * (gain * (1 - haze))[..., None] + (haze * self.haze_grey)[..., None], np.float32
        )


def day_light(random: np.random.Generator, site: Site, hour: float) -> Light:
    """Sun of an hour (6 to 20): low and warm at the ends, sometimes clouded, sometimes hazy."""
    width, height = site.size
    noon = float(np.clip(np.sin((hour - 5.5) / 15 * np.pi), 0.1, 1.0))
    clouded = random.random() < 0.45
    warm = (1 - noon) * (0.25 if clouded else 1.0)
    tint = np.array([1 + 0.2 * warm, 1 + 0.02 * warm, 1 - 0.2 * warm], np.float32)
    exposure = random.uniform(0.8, 1.12) * (0.72 + 0.28 * noon)
    dapples = fractal_noise(random, (width, height), (7, 6), 3) - 0.5
    gain = np.asarray(exposure * (1 + (0.25 if clouded else 1.1) * dapples), np.float32)
    fog = random.uniform(0.3, 0.6) if random.random() < 0.12 else random.uniform(0.0, 0.1)
    haze = np.asarray(fog * (1 - 0.75 * site.nearness), np.float32)
    return Light(gain, tint, float(random.uniform(0.7, 1.05)), haze, 196.0, float(random.uniform(2.0, 5.0)))


def flash_light(random: np.random.Generator, site: Site) -> Light:
    """Infrared flash: grey, strongest in the middle and near, dark towards corners and sky, grainy."""
    width, height = site.size
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = np.clip(1.05 - 0.5 * (x * x + y * y * 0.7), 0.12, 1.0)
    reach = 0.3 + 0.9 * np.sqrt(site.nearness)
    gain = np.asarray(vignette * reach[:, None] * random.uniform(0.62, 0.95), np.float32)
    haze = np.zeros(height, np.float32)
    return Light(gain, np.ones(3, np.float32), 0.0, haze, 0.0, float(random.uniform(4.0, 9.0)))


@lru_cache(maxsize=1)
def grain_tile() -> Field:
    """One sheet of standard normal noise [1400, 1600], made once; all grain is a window of it."""
    return np.random.default_rng(20250601).standard_normal((1400, 1600), dtype=np.float32)


def grain(random: np.random.Generator, size: tuple[int, int], strength: float) -> Field:
    """Sensor noise float32 [height, width, 1]: a random window of one stored sheet, for speed."""
    tile = grain_tile()
    top = int(random.integers(tile.shape[0] - size[1] + 1))
    left = int(random.integers(tile.shape[1] - size[0] + 1))
    return tile[top : top + size[1], left : left + size[0], None] * np.float32(strength)
