"""The passages of a recorded or live video, as it is read."""

from collections.abc import Callable, Iterator

from vision.plates.passage import Passage, Passages
from vision.plates.recognise import Recogniser
from vision.video import frames_of


def video_passages(
    source: str,
    recogniser: Recogniser,
    passages: Passages,
    *,
    per_s: float,
    progress: Callable[[float | None], None] = lambda _: None,
) -> Iterator[Passage]:
    """Yield each passage when it is over; times are seconds since the first frame.

    ``per_s`` and ``progress`` are those of :func:`vision.video.frames_of`.

    Raises:
        PictureError: the video cannot be opened, or has no frame.
    """
    for now, picture in frames_of(source, per_s=per_s, progress=progress):
        size = picture.shape[1], picture.shape[0]
        yield from passages.update(recogniser.find(picture), now, size)
    yield from passages.flush()
