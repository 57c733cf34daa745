"""A process that forks publishers to be killed: start-up costs once, each fork publishes at once.

``python -m tests.support.publisher FOLDER PORT CLIENT`` reads lines from standard input. ``go``
forks a publisher and prints its pid; ``quit`` ends the process. A publisher puts events as fast
as it can into an outbox in FOLDER and sends them to the broker at 127.0.0.1:PORT.
"""

import asyncio
import os
import sys
from pathlib import Path

from agent.log import configure
from agent.settings import LogSettings
from contract import Topics
from contract.events import MotionBegin
from telemetry.clock import SystemClock
from telemetry.link import Link
from telemetry.mqtt import MqttTransport
from telemetry.outbox import Outbox
from telemetry.settings import LinkSettings, OutboxSettings
from telemetry.voice import Birth
from tests.support.clock import START


async def publish(folder: Path, port: int, client: str, limit: int | None) -> None:
    """Publish for ever, or until everything stored so far and ``limit`` more are delivered."""
    clock = SystemClock()
    topics = Topics(client)
    settings = OutboxSettings(backlog_per_s=0)
    outbox = Outbox(folder, topics=topics, settings=settings, clock=clock, on_fault=lambda *_: None)
    await outbox.start()
    link = Link(
        transport=MqttTransport(),
        outbox=outbox,
        topics=topics,
        settings=LinkSettings(port=port, reconnect_min_s=0.05, reconnect_max_s=0.2),
        outbox_settings=settings,
        clock=clock,
        birth=lambda: Birth("test", START, (), ()),
    )
    tasks = [asyncio.create_task(outbox.run()), asyncio.create_task(link.run())]

    async def produce() -> None:
        while True:
            await outbox.put(MotionBegin(camera="front", area_percent=1.0), clock.stamp())
            await asyncio.sleep(0.001)

    if limit is None:
        await asyncio.gather(*(produce() for _ in range(5)), *tasks)
    for _ in range(limit or 0):
        await outbox.put(MotionBegin(camera="front", area_percent=1.0), clock.stamp())
    while outbox.rows:
        await asyncio.sleep(0.02)
    print(f"last {outbox.last_sequence}", flush=True)
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)


def main() -> None:
    """Serve the parent until it says quit or goes away."""
    configure(LogSettings(level="error", format="json"))
    folder, port, client = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for line in sys.stdin:
        match line.split():
            case ["go"]:
                if (pid := os.fork()) == 0:
                    asyncio.run(publish(folder, port, client, None))
                print(pid, flush=True)
            case ["finish"]:
                asyncio.run(publish(folder, port, client, 10))
            case ["wait", pid]:
                os.waitpid(int(pid), 0)
                print("gone", flush=True)
            case _:
                return


if __name__ == "__main__":
    main()
