"""``certificate.request`` and ``certificate.install``: the kiosk's certificate is renewed."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from commands.action import Action, Invocation, Result
from commands.actions.config import GROUP
from contract.actions import CertificateInstall, CertificateRequest

Say = Callable[[str], Awaitable[None]]


class Certificates(Protocol):
    """Who keeps the kiosk's certificate. All raise :class:`~commands.errors.ActionError`."""

    def missing(self) -> str | None:
        """Why there is nothing to renew here, in a sentence."""
        ...

    async def request(self) -> Result:
        """Return the open request; without one, make it."""
        ...

    async def install(self, order: CertificateInstall, say: Say) -> Result:
        """Put what was ordered on trial; returns when it is in force."""
        ...

    async def outcome(self, order: CertificateInstall) -> Result:
        """Wait for the end of a trial that an earlier life of the agent began."""
        ...


def certificate_request(certificates: Certificates) -> Action[CertificateRequest]:
    """Make the action. Its result: :class:`~contract.certificates.CertificateRequested`."""

    async def run(_: CertificateRequest, invocation: Invocation) -> Result:
        invocation.no_return()
        return await certificates.request()

    return Action(
        CertificateRequest, run=run, idempotent=True, group=GROUP, missing=certificates.missing
    )


def certificate_install(certificates: Certificates) -> Action[CertificateInstall]:
    """Make the action. Its result: ``serial`` and ``not_after``, and how many ``roots``.

    It is in the group of pushed settings: of two trials, neither would know whose the line is.
    """

    async def run(arguments: CertificateInstall, invocation: Invocation) -> Result:
        invocation.no_return()
        return await certificates.install(arguments, invocation.progress)

    async def resume(arguments: CertificateInstall, _: Invocation) -> Result:
        return await certificates.outcome(arguments)

    return Action(
        CertificateInstall,
        run=run,
        resume=resume,
        group=GROUP,
        missing=certificates.missing,
        signers=lambda arguments: 1 if arguments.roots is None else 2,
    )
