"""What is trained on and what is held back: the same split in every step."""

from pathlib import Path

from training.scenes import Photo, photos
from training.strips import Crop, held_back, real_crops
from training.typeface import Typeface


def typeface(data: Path | None) -> Typeface:
    """Load the glyphs: of fonts, and of real plates where there is a folder of these."""
    return Typeface(data / "provinces" if data else None)


def crops(data: Path | None) -> tuple[list[Crop], list[Crop]]:
    """Load the cut-out plates: each tenth is held back."""
    return held_back(real_crops(data / "crops-train")) if data else ([], [])


def frames(data: Path | None) -> tuple[list[Photo], list[Photo]]:
    """Load the whole pictures: each fifth is held back."""
    return held_back(photos(data / "frames"), share=5) if data else ([], [])
