"""Releases: how one is made and signed, fetched, tried beside the running one, and taken back."""
