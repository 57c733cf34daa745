"""Errors of the agent.

AgentError            the agent cannot do what it was asked; the text says why
├── SettingsError     the settings are wrong: file, line and reason
├── NotRunningError   no running agent answers on its socket
└── DemoError         the demonstration could not run to its end
"""


class AgentError(Exception):
    """Something that the person at the keyboard can act on."""


class SettingsError(AgentError):
    """The settings are wrong; one line a fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class NotRunningError(AgentError):
    """No running agent answers."""


class DemoError(AgentError):
    """The demonstration could not run to its end."""
