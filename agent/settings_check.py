"""What is allowed in a settings file, and most likely not meant."""

from collections.abc import Iterator

from agent.alarms import FAULTS
from agent.settings import Settings


def warnings(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each."""
    if "id" not in settings.kiosk.model_fields_set:
        yield f"kiosk.id is not set: it is the host's name, {settings.kiosk.id}"
    if "host" not in settings.link.model_fields_set:
        yield "link.host is not set: the broker is sought on this machine"
    door = settings.door
    if door.driver != "none" or "open_on" in door.model_fields_set:
        raised = FAULTS.keys() | {rule.code for rule in settings.alarms.effective()}
        for code in door.open_on:
            if code not in raised:
                yield f"door.open_on: no alarm {code} is ever raised here: it opens no door"
