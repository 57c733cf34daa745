import cv2
import numpy as np
import pytest

from tests.support.faces import face
from vision.identity.liveness.passive import Passive

SIDE, EYES = 480, 80.0
FACE = face(x=240, y=220, eyes=EYES)


def skin(seed=0, side=SIDE, grain=4):
    """A picture with fine structure all over, as skin, hair and stubble have."""
    random = np.random.default_rng(seed)
    fine = cv2.GaussianBlur(random.normal(0, 1, (side, side)).astype(np.float32), (0, 0), grain)
    grey = 128 + 45 * fine / fine.std()
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, 2)


def noisy(picture, seed, sigma=1.5):
    """A picture as a sensor sees it."""
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def moved(at, warp):
    """A face whose points a warp moves."""
    points = np.array([[at.right_eye, at.left_eye, at.nose]], np.float32)
    right, left, nose = (tuple(map(float, p)) for p in cv2.perspectiveTransform(points, warp)[0])
    x, y = (right[0] + left[0]) / 2, (right[1] + left[1]) / 2
    eyes = float(np.hypot(left[0] - right[0], left[1] - right[1]))
    return type(at)(x - eyes, y - 0.8 * eyes, 2 * eyes, 2 * eyes, 1.0, right, left, nose, ())


def turned(degrees, far=900.0, shift=(0.0, 0.0)):
    """How a sheet looks that is turned about an axis through its middle."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    camera = np.array([[far, 0, 240 + shift[0]], [0, far, 220 + shift[1]], [0, 0, 1]])
    plane = np.array([[c, 0, 0], [0, 1, 0], [-s, 0, far]])
    return camera @ plane @ np.array([[1, 0, -240], [0, 1, -220], [0, 0, 1.0]])


def warp(picture, by, background=None):
    size = picture.shape[1], picture.shape[0]
    made = cv2.warpPerspective(picture, by, size, borderMode=cv2.BORDER_REFLECT)
    if background is None:
        return made
    inside = cv2.warpPerspective(np.full(picture.shape, 255, np.uint8), by, size)
    return np.where(inside > 127, made, background)


def judge(frames, per_s=10):
    """Show frames and the faces in them; noise is added."""
    passive = Passive()
    for index, (picture, at) in enumerate(frames):
        passive.update(noisy(picture, index), at, index / per_s)
    return passive


def sheet():
    """A face on white paper; what is beside the paper is left out."""
    paper = np.full((SIDE, SIDE, 3), 240, np.uint8)
    paper[20:-20, 20:-20] = skin()[20:-20, 20:-20]
    return paper


SWINGS = [18 * np.sin(index**2 / 60) for index in range(40)]
"""Quicker and quicker: nothing of it comes again."""


def test_a_turned_sheet_is_flat():
    """Its points stay on one plane while its proportions change as in a turn."""
    picture = skin()
    passive = judge((warp(picture, turned(d)), moved(FACE, turned(d))) for d in SWINGS)
    assert passive.verdict() == ("flat_motion",)


def test_a_turned_solid_is_not_flat():
    """Its nose moves against its cheeks."""
    picture = skin()
    gx, gy = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    depth = 30 * np.exp(-(((gx - 240) / 35) ** 2) - ((gy - 275) / 45) ** 2)

    def frames():
        for degrees in SWINGS:
            aside = (depth * np.sin(np.radians(degrees))).astype(np.float32)
            solid = cv2.remap(picture, gx - aside, gy, cv2.INTER_LINEAR)
            yield warp(solid, turned(degrees)), moved(FACE, turned(degrees))

    passive = judge(frames())
    assert passive.scores()["flat_motion"] is not None
    assert passive.verdict() == ()


def test_what_does_not_turn_is_not_judged_for_flatness():
    """Who stands still, sways or comes nearer looks nearly flat, too."""
    picture = skin()

    def frames():
        for index in range(40):
            by = np.diag([1 + index / 200, 1 + index / 200, 1.0])
            by[:2, 2] = 10 * np.sin(index / 4) - index, -index
            yield warp(picture, by), moved(FACE, by)

    passive = judge(frames())
    assert passive.scores()["flat_motion"] is None
    assert passive.verdict() == ()


def test_the_grid_of_a_screen_is_a_pattern():
    """Narrow peaks over the whole face, at any place in the spectrum."""
    down, across = np.mgrid[:SIDE, :SIDE]
    grid = 9 * np.cos(2 * np.pi * (0.31 * across + 0.07 * down))[..., None]
    screen = np.clip(skin() + grid, 0, 255).astype(np.uint8)
    assert "screen_pattern" in judge([(screen, FACE)] * 10).verdict()


@pytest.mark.parametrize(
    ("times", "how"),
    [(1.5, cv2.INTER_LINEAR), (2, cv2.INTER_CUBIC), (3, cv2.INTER_CUBIC), (3, cv2.INTER_LINEAR)],
)
def test_a_picture_that_the_camera_enlarged_is_no_pattern(times, how):
    """Its coarse structure comes again across the spectrum, faintly."""
    passive = Passive()
    for index in range(10):
        small = noisy(skin(grain=2, side=round(SIDE / times)), index)
        passive.update(cv2.resize(small, (SIDE, SIDE), interpolation=how), FACE, index / 10)
    assert passive.verdict() == ()


def test_the_blocks_of_a_codec_are_no_pattern():
    """JPEG and H.264 repeat every 8 pixels."""
    blocks = skin().astype(np.int16)
    blocks[::8] += 12
    blocks[:, ::8] += 12
    passive = judge([(np.clip(blocks, 0, 255).astype(np.uint8), FACE)] * 10)
    assert passive.verdict() == ()


def carried(index):
    """Where a thing in a hand is."""
    by = np.eye(3)
    by[:2] *= 0.6
    by[:2, 2] = 96 + 60 * np.sin(index / 4), 88 + 45 * np.cos(index / 5)
    return by


def test_edges_that_move_with_the_face_are_paper():
    """On three sides at least, wherever it is held."""
    wall = np.full((SIDE, SIDE, 3), 70, np.uint8)
    passive = judge((warp(sheet(), carried(i), wall), moved(FACE, carried(i))) for i in range(40))
    assert "paper_edges" in passive.verdict()


def test_edges_that_stay_are_a_door():
    """A person moves before them."""
    wall = np.full((SIDE, SIDE, 3), 70, np.uint8)
    cv2.rectangle(wall, (60, 40), (420, 440), (230, 230, 230), 12)
    oval = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(oval, (240, 250), (130, 190), 0, 0, 360, 255, -1)

    def frames():
        for index in range(40):
            by = carried(index)
            size = (SIDE, SIDE)
            inside = cv2.warpPerspective(oval, by, size)[..., None]
            yield np.where(inside > 127, warp(skin(), by), wall), moved(FACE, by)

    passive = judge(frames())
    assert passive.scores()["paper_edges"] is not None
    assert passive.verdict() == ()


def walk(count, seed=3):
    """Faces that never look twice the same: structure that drifts without end."""
    large = skin(seed, 1200, 12)
    return [large[5 * i : 5 * i + SIDE, 5 * i : 5 * i + SIDE] for i in range(count)]


@pytest.mark.parametrize("period", [12, 20])
def test_moments_that_come_again_are_a_recording(period):
    """A loop is seen once it has come round and a half."""
    loop = walk(period)
    passive = judge((loop[index % period], FACE) for index in range(60))
    assert passive.verdict() == ("replayed",)


def test_a_face_that_keeps_moving_is_no_recording():
    """However long one looks."""
    assert judge((picture, FACE) for picture in walk(80)).verdict() == ()


def test_who_returns_to_the_straight_look_is_no_recording():
    """A challenge asks for just that: to look straight at the beginning and at the end."""
    moving = walk(30)
    still = [moving[0]] * 20
    shown = [*still, *moving, *reversed(moving), *still]
    passive = Passive()
    for index, picture in enumerate(shown):
        passive.update(noisy(picture, index, 3.0), FACE, index / 10)
    assert passive.verdict() == ()


def test_a_picture_in_which_nothing_changes_is_a_recording():
    """No sensor gives the same picture for two seconds; a camera that hangs for one does."""
    passive = Passive()
    for index in range(15):
        passive.update(skin(), FACE, index / 10)
    assert passive.verdict() == ()
    for index in range(15, 25):
        passive.update(skin(), FACE, index / 10)
    assert passive.verdict() == ("replayed",)


def test_without_anything_seen_there_is_no_sign():
    """No frame, no face, a face half outside or a tiny one: nothing to judge by, no error."""
    passive = Passive()
    assert passive.verdict() == ()
    assert set(passive.scores().values()) == {None}
    passive.update(skin(), None, 0.0)
    for at in (face(x=5, y=5), face(x=470, y=470, eyes=300), face(eyes=3), face(eyes=0.5)):
        passive.update(skin(), at, 0.1)
    assert passive.verdict() == ()


def test_a_person_who_breathes_gives_no_sign():
    """The same face, a little noise and a little movement, for ten seconds."""
    picture = skin()

    def frames():
        for index in range(100):
            by = np.eye(3)
            by[:2, 2] = 2 * np.sin(index / 5), 2 * np.cos(index / 7)
            yield warp(picture, by), moved(FACE, by)

    assert judge(frames()).verdict() == ()


def test_who_nods_regularly_is_no_recording():
    """Faces move in rhythm, too; nobody's two rounds are the same to a hair."""
    random = np.random.default_rng(5)

    def frames():
        picture, at = skin(grain=8), 0.0
        for index in range(60):
            at += random.uniform(0.7, 1.3)
            by = turned(20 * np.sin(at / 2.5) * (1 + 0.25 * np.sin(index)))
            yield warp(picture, by), FACE

    passive = judge(frames())
    assert "replayed" not in passive.verdict()


def test_faces_that_are_rarely_found_tell_little():
    """What the detector lost is not invented; no sign fails for want of frames."""
    passive = Passive()
    for index in range(8):
        passive.update(noisy(skin(), index), FACE, index**2 / 10)
    assert passive.verdict() == ()
