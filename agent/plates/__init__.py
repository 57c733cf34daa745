"""What the agent makes of plates: pseudonyms, watch lists, events."""
