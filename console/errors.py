"""Errors of the console.

ConsoleError             anything that the operator has to know, in a sentence
├── SettingsError        the options, the environment or the settings file are wrong
├── KeyFileError         a key file is missing, broken, unsafe, or would be overwritten
├── ExpiredError         a signed command has no time left
├── ReceivedError        what a command brought back is not what the kiosk said it sent
└── BrokerError          no connection to the broker, or not any more
"""


class ConsoleError(Exception):
    """Something that the operator has to know; the text is a sentence."""

    exit_code = 2
    """Of ``kioskctl``; see the operators' manual."""


class SettingsError(ConsoleError):
    """The options, the environment or the settings file are wrong."""


class KeyFileError(ConsoleError):
    """A key file is missing, broken, unsafe, or would be overwritten."""


class ExpiredError(ConsoleError):
    """A signed command has no time left."""

    exit_code = 4


class ReceivedError(ConsoleError):
    """What a command brought back is not what the kiosk said it sent."""

    exit_code = 1


class BrokerError(ConsoleError):
    """There is no connection to the broker, or not any more."""

    exit_code = 6
