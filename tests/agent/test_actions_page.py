"""The reference page of actions."""

from pathlib import Path

from agent.actions_page import render


def test_the_page_of_actions_is_fresh():
    """docs/actions.md is what the models and the policy say (``make docs`` writes it)."""
    path = Path(__file__).parents[2] / "docs/actions.md"
    assert path.read_text(encoding="utf-8") == render()
