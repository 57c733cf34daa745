"""Errors of the console.

ConsoleError             anything that the operator has to know, in a sentence
├── SettingsError        the options, the environment or the settings file are wrong
├── KeyFileError         a key file is missing, broken, unsafe, or would be overwritten
├── ExpiredError         a signed command has no time left
├── RequestError         a certificate was asked for in a way that the CA does not sign
├── AuthorityError       the CA's folder is missing, damaged, or cannot do what is asked
├── ReceivedError        what a command brought back is not what the kiosk said it sent
└── BrokerError          no connection to the broker, or not any more
    ├── TlsError         it and we do not agree on certificates: trying again does not help
    └── DeniedError      the broker does not take a message from this user
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


class RequestError(ConsoleError):
    """A certificate was asked for in a way that the CA does not sign."""


class AuthorityError(ConsoleError):
    """The CA's folder is missing, damaged, or cannot do what is asked."""


class ReceivedError(ConsoleError):
    """What a command brought back is not what the kiosk said it sent."""

    exit_code = 1


class BrokerError(ConsoleError):
    """There is no connection to the broker, or not any more."""

    exit_code = 6


class TlsError(BrokerError):
    """The broker and we do not agree on certificates, or it speaks no TLS: a person has to act."""


class DeniedError(BrokerError):
    """The broker does not take a message from this user."""
