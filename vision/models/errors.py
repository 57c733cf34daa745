"""Errors of the models.

ModelError                a model cannot be used; the text says which, and what to do
├── ManifestError         the list of models is missing or wrong
├── MissingModelError     no such model is listed, or its file is not there
├── WrongHashError        the file is not the one that the list names
└── UnusableModelError    the file is the right one and yet no network for its task
"""


class ModelError(Exception):
    """A model cannot be used."""


class ManifestError(ModelError):
    """The list of models is missing or wrong."""


class MissingModelError(ModelError):
    """No such model is listed, or its file is not there."""


class WrongHashError(ModelError):
    """The file is not the one that the list names."""


class UnusableModelError(ModelError):
    """The file is the right one and yet no network for its task."""
