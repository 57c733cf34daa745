"""Errors of the agent.

AgentError            the agent cannot do what it was asked; the text says why
├── SettingsError     the settings are wrong: file, line and reason
├── UnprovenError     pushed settings did not prove themselves
├── CertificateError  the kiosk's key, certificate or roots are unusable, or do not fit
├── NotRunningError   no running agent answers on its socket
├── TrailError        the audit trail cannot be read, or does not stand as it was written
├── ReleaseError      a release cannot be built, is not to be trusted, or does not fit
└── DemoError         the demonstration could not run to its end
"""


class AgentError(Exception):
    """Something that the person at the keyboard can act on."""


class SettingsError(AgentError):
    """The settings are wrong; one line a fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class UnprovenError(AgentError):
    """Pushed settings did not prove themselves; the text says what is not well with them."""


class CertificateError(AgentError):
    """The kiosk's key, certificate or roots are unusable, or do not fit each other."""


class NotRunningError(AgentError):
    """No running agent answers."""


class TrailError(AgentError):
    """The audit trail cannot be read, or does not stand as it was written."""


class ReleaseError(AgentError):
    """A release cannot be built, is not to be trusted, or does not fit this kiosk."""


class DemoError(AgentError):
    """The demonstration could not run to its end."""
