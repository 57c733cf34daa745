"""An export writes its own entries of the list of models anew, and leaves the others."""

import tomllib

from training.listing import entries_but
from vision.models.manifest import SHIPPED, load_manifest

PLATES = {"plate-detector", "plate-reader"}


def test_entries_of_other_tasks_stay_to_the_letter():
    """With their figures and calibrations, whatever comes before them."""
    text = SHIPPED.read_text(encoding="utf-8")
    kept = entries_but(PLATES, text)
    assert [tomllib.loads(entry)["model"][0]["name"] for entry in kept] == [
        model.name for model in load_manifest().model if model.role not in PLATES
    ]
    assert all(entry in text for entry in kept)
    assert all(entry.endswith("\n") for entry in kept)


def test_an_empty_list_has_no_entries():
    """The first export finds none."""
    assert entries_but(PLATES, "") == []
    assert entries_but(PLATES, "# Only a remark.\n") == []


def test_without_roles_all_stay():
    """And put together again they are the list."""
    text = SHIPPED.read_text(encoding="utf-8")
    whole = tomllib.loads("\n".join(entries_but((), text)))
    assert whole == tomllib.loads(text)
