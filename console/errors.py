"""Errors of the console.

ConsoleError             anything that the operator has to know, in a sentence
├── SettingsError        the options, the environment or the settings file are wrong
├── KeyFileError         a key file is missing, broken, or would be overwritten
└── BrokerError          no connection to the broker, or not any more
"""


class ConsoleError(Exception):
    """Something that the operator has to know; the text is a sentence."""


class SettingsError(ConsoleError):
    """The options, the environment or the settings file are wrong."""


class KeyFileError(ConsoleError):
    """A key file is missing, broken, or would be overwritten."""


class BrokerError(ConsoleError):
    """There is no connection to the broker, or not any more."""
