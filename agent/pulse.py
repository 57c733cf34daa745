"""The agent feels its own pulse: feeds the watchdog, and notices services that come and go."""

from collections.abc import Awaitable, Callable

from agent.systemd import notify
from contract import Clock
from contract.message import Publish
from contract.state import Service, ServiceChanged

PULSE_S = 2.0
STALE_S = 60.0
"""The watchdog is fed no more when a part has not been alive for this long."""


class Pulse:
    """A beat every :data:`PULSE_S` seconds.

    Args:
        clock: the time of beats.
        probes: by name; each answers, within a beat or late, whether its part is alive.
        services: what the kiosk can do now.
        publish: takes ``service.changed`` events.
        on_change: called after services changed.
        watchdog: whether the service manager waits for a sign of life.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        probes: dict[str, Callable[[], Awaitable[bool]]],
        services: Callable[[], tuple[Service, ...]],
        publish: Publish,
        on_change: Callable[[], Awaitable[None]],
        watchdog: bool,
    ) -> None:
        self._clock = clock
        self._probes = probes
        self._services = services
        self._publish = publish
        self._on_change = on_change
        self._watchdog = watchdog
        self._alive = dict.fromkeys(probes, clock.monotonic())
        self._known: dict[str, Service] = {}

    @property
    def is_alive(self) -> bool:
        """Whether every part showed life lately."""
        now = self._clock.monotonic()
        return all(now - last < STALE_S for last in self._alive.values())

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            for name, probe in self._probes.items():
                if await probe():
                    self._alive[name] = self._clock.monotonic()
            if self._watchdog and self.is_alive:
                notify("WATCHDOG=1")
            await self._compare_services()
            await self._clock.sleep(PULSE_S)

    async def _compare_services(self) -> None:
        services = {service.name: service for service in self._services()}
        changed = [
            service
            for name, service in services.items()
            if name in self._known and self._known[name].available != service.available
        ]
        self._known = services
        for service in changed:
            await self._publish(ServiceChanged(service=service), self._clock.stamp())
        if changed:
            await self._on_change()
