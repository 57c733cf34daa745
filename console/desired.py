"""The desired configuration of a kiosk: published retained, then watched until it is decided."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from console.connection import Client, arrival, cancelled, connect
from console.courier import RETRY_S
from console.errors import BrokerError, DeniedError, TlsError
from console.outcome import Outcome
from console.settings import ConsoleSettings
from contract import ContractError, Topics, open_message
from contract.config import ConfigChanged, ConfigReport, DesiredConfig, settings_hash


@dataclass(slots=True)
class Verdict:
    """What the kiosk has said about one version so far."""

    desired: DesiredConfig
    outcome: Outcome | None = None
    text: str = ""
    published: bool = False
    """Whether it may have reached the broker."""

    def hear(self, payload: bytes) -> None:
        """Take in a message as it came from the broker; noise and other versions are nothing."""
        try:
            message = open_message(payload)
        except ContractError:
            return
        if message.kiosk != self.desired.kiosk:
            return
        version, data = self.desired.version, message.data
        match data:
            case ConfigReport() if data.failed_version == version:
                self._decide(Outcome.FAILED, data.last_error or "")
            case ConfigReport() if data.version == version and data.state == "confirmed":
                if data.hash == settings_hash(self.desired.settings):
                    self._decide(Outcome.SUCCEEDED, "confirmed")
                else:
                    self._decide(Outcome.REJECTED, "other settings have this version already")
            case ConfigReport() if data.version == version:
                self.text = "on trial"
            case ConfigReport() if data.version > version:
                self._decide(Outcome.REJECTED, f"version {data.version} is in force already")
            case ConfigChanged(outcome="refused") if data.version == version:
                self._decide(Outcome.REJECTED, data.text)

    def _decide(self, outcome: Outcome, text: str) -> None:
        self.outcome, self.text = outcome, text


async def put(
    settings: ConsoleSettings,
    desired: DesiredConfig,
    document: bytes,
    *,
    timeout_s: float,
    on_news: Callable[[str], None],
    report: Callable[[str | None], None],
) -> tuple[Outcome, str]:
    """Publish a signed document and wait for the kiosk's verdict; returns it with a sentence.

    Args:
        settings: the broker.
        desired: what was signed.
        document: it, signed.
        timeout_s: for the whole.
        on_news: told each step.
        report: told why there is no connection, and ``None`` when there is one.

    Raises:
        DeniedError: the broker does not take it from this user.
        TlsError: see :func:`~console.connection.connect`; only before it was published.
        SettingsError: see :func:`~console.connection.connect`.
    """
    verdict = Verdict(desired)

    async def insist() -> None:
        while verdict.outcome is None:
            try:
                async with connect(settings) as client:
                    report(None)
                    topics = Topics(desired.kiosk, settings.root)
                    await _publish(client, topics, document, verdict, on_news)
            except DeniedError:
                raise
            except BrokerError as error:
                if isinstance(error, TlsError) and not verdict.published:
                    raise
                report(str(error))
                await asyncio.sleep(RETRY_S)

    insisting = asyncio.create_task(insist())
    try:
        await asyncio.wait({insisting}, timeout=timeout_s)
    finally:
        await cancelled(insisting)
    if verdict.outcome is not None:
        return verdict.outcome, verdict.text
    if not verdict.published:
        return Outcome.NO_BROKER, "the broker was not reached; nothing was published"
    return Outcome.NO_ANSWER, (
        f"no word from {desired.kiosk} within {timeout_s:g} s; the document stays at the "
        "broker, and it is put on trial when the kiosk comes on line"
    )


async def _publish(
    client: Client,
    topics: Topics,
    document: bytes,
    verdict: Verdict,
    on_news: Callable[[str], None],
) -> None:
    for suffix in (ConfigReport.SUFFIX, ConfigChanged.SUFFIX):
        await client.subscribe(topics.up(suffix), qos=1)
    verdict.published = True
    await client.offer(topics.config, document, retain=True)
    async for message in client.messages:
        said = verdict.text
        verdict.hear(arrival(message).payload)
        if verdict.text != said:
            on_news(verdict.text)
        if verdict.outcome is not None:
            return
