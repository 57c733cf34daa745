"""Plates: found, read, followed over frames."""
