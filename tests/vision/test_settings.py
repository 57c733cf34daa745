"""Sources are told apart, and never give a password away."""

import pytest
from pydantic import ValidationError

from vision.order import Order
from vision.settings import CameraSettings
from vision.source import kind_of, redact

SECRET = "rtsp://guard:p@ss/w0rd@10.0.0.5:554/ch1?user=guard&password=w0rd"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/var/lib/clip.mp4", "file"),
        ("clip.avi", "file"),
        ("rtsp://10.0.0.5/ch1", "stream"),
        ("rtsps://10.0.0.5/ch1", "stream"),
        ("http://10.0.0.5/mjpeg", "stream"),
        ("https://10.0.0.5/mjpeg", "stream"),
        ("/dev/video2", "device"),
        ("0", "device"),
    ],
)
def test_source_kinds(source, kind):
    """A device, a stream and a file are told by how they are written."""
    assert kind_of(source) == kind
    assert CameraSettings(name="a", source=source).kind == kind


@pytest.mark.parametrize("source", ["", "ftp://host/clip", "rtsp://", "rtsp://u:a b@c/1"])
def test_unknown_source_is_refused_without_being_quoted(source):
    """A wrong source is an error of the settings, and the error does not repeat it."""
    with pytest.raises(ValidationError, match="is expected") as caught:
        CameraSettings(name="a", source=source)
    assert "input_value" not in str(caught.value)


def test_password_is_shown_nowhere():
    """Neither repr, nor dump, nor the text for people holds user, password or query."""
    settings = CameraSettings(name="a", source=SECRET)
    order = Order(source=SECRET, settings=settings, frames_fd=3)
    for text in (repr(settings), str(settings), settings.model_dump_json(), settings.shown):
        assert "w0rd" not in text
        assert "guard" not in text
    assert "w0rd" not in repr(order)
    assert "10.0.0.5:554/ch1" in settings.shown


def test_redacted_settings_can_be_read_again():
    """The dump goes to the capture process beside the real source."""
    settings = CameraSettings(name="a", source=SECRET)
    again = CameraSettings.model_validate_json(settings.model_dump_json())
    assert again.kind == "stream"


def test_redact_leaves_the_rest_of_a_text():
    """A driver's complaint stays readable."""
    text = "[rtsp @ 0x55] rtsp://a:b@host/x?p=1 failed: 401 Unauthorized"
    assert redact(text) == "[rtsp @ 0x55] rtsp://***@host/x?*** failed: 401 Unauthorized"
