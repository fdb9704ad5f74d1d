from pathlib import Path

import pytest
from PIL import Image

from varanger.trainer.domain.dataset import LabelledImage
from varanger.trainer.training.staging import stage_images


def labelled(path: Path) -> LabelledImage:
    return LabelledImage(path, "ridge", path.stem)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_images_that_do_not_decode_to_their_end_are_left_out_and_named(tmp_path: Path, kind: str) -> None:
    whole, cut, text = (tmp_path / f"{name}.{kind}" for name in ("whole", "cut", "text"))
    Image.effect_noise((640, 480), 80).convert("RGB").save(whole)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    text.write_text("card 2, battery changed")
    images = [labelled(path) for path in (cut, whole, text)]
    staged = stage_images(images, tmp_path / "staged", 64)
    assert staged.damaged == (cut, text)
    assert staged.whole(images) == [images[1]]
    assert [path.name for path in (tmp_path / "staged").iterdir()] == ["000001.png"]


def test_an_image_that_is_not_there_is_a_fault_of_the_dataset(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        stage_images([labelled(tmp_path / "gone.jpg")], tmp_path / "staged", 64)
