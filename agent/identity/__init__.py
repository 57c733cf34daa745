"""Persons: checked against documents, recognised where they are enrolled, and supervised."""
