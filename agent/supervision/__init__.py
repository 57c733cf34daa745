"""Supervision of business: what did not go as it should, with evidence that can be proved."""
