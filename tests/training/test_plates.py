import numpy as np
import pytest

from training.plates import KINDS, draw
from training.strips import Crop, encode, held_back, synthetic, varied, whole
from training.typeface import Typeface
from vision.plates.alphabet import CHARACTERS, MAX_LENGTH
from vision.plates.grammar import judge
from vision.plates.rectify import HEIGHT, WIDTH

FOREIGN = {"police_old"}
"""In use once, no longer in the norm."""


@pytest.mark.parametrize("name", sorted(KINDS.keys() - FOREIGN))
def test_every_kind_of_plate_follows_the_grammar(
    name: str, typeface: Typeface, rng: np.random.Generator
):
    for _ in range(20):
        plate = draw(typeface, rng, name)
        verdict = judge(plate.text, plate.colour)
        # A serial with three letters was given out, too.
        letters = sum(character.isalpha() and character.isascii() for character in plate.text[2:])
        assert verdict.well_formed or letters > 2, plate.text
        assert "colour" not in verdict.doubts, (plate.text, plate.colour)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_all_characters_lie_on_the_plate_beside_each_other(
    name: str, typeface: Typeface, rng: np.random.Generator
):
    for _ in range(10):
        plate = draw(typeface, rng, name)
        height, width = plate.image.shape[:2]
        assert len(plate.text) == len(plate.layout.boxes) <= MAX_LENGTH
        last = None
        for x, y, w, h in plate.layout.boxes:
            assert x >= 0
            assert y >= 0
            assert x + w <= width
            assert y + h <= height
            if last is not None and y == last[1]:
                assert x >= last[0] + last[2]
            last = (x, y, w)


def test_a_plate_shows_its_text_in_another_colour_than_its_ground(
    typeface: Typeface, rng: np.random.Generator
):
    for name in KINDS:
        plate = draw(typeface, rng, name)
        for x, y, w, h in plate.layout.boxes:
            part = plate.image[int(y) : int(y + h), int(x) : int(x + w)]
            assert float(part.std(axis=(0, 1)).max()) > 8, plate.text


def test_centres_of_a_strip_lie_in_it_in_reading_order(
    typeface: Typeface, rng: np.random.Generator
):
    for _ in range(60):
        for strip in synthetic(typeface, rng, views=2):
            assert strip.image.shape == (HEIGHT, WIDTH, 3)
            known = strip.centres[~np.isnan(strip.centres[:, 0])]
            assert len(known) == len(strip.text)
            if strip.rows == 0 and strip.text:
                assert (np.diff(known[:, 0]) > 0).all()
            if strip.text:
                assert (known > -12).all()
                assert (known < (WIDTH + 12, HEIGHT + 12)).all()


def test_the_same_seed_draws_the_same(typeface: Typeface):
    first, second = (synthetic(typeface, np.random.default_rng(3), views=2) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.text == other.text
        assert (one.image == other.image).all()


def test_a_text_becomes_classes_and_nothing_after_them():
    codes = encode("京A12345")
    assert [CHARACTERS[code - 1] for code in codes[:7]] == list("京A12345")
    assert codes[7] == 0


def test_what_is_held_back_is_not_trained_on():
    kept, held = held_back(list(range(100)))
    assert sorted(kept + held) == list(range(100))
    assert len(held) == 10


def test_a_real_crop_is_shown_whole_and_varied(tmp_path, rng: np.random.Generator):
    crop = Crop(tmp_path / "a.jpg", "京A12345", rng.integers(0, 255, (24, 94, 3), np.uint8))
    assert whole(crop).shape == (HEIGHT, WIDTH, 3)
    assert varied(crop, rng).image.shape == (HEIGHT, WIDTH, 3)
