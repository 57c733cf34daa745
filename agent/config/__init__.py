"""Pushed settings: tried, confirmed, or taken back."""
