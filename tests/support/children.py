"""Processes of a camera whose lines the test writes."""

import asyncio


class FakeChild:
    """A child process; :attr:`told` is what it was given to read."""

    last_words = "libgomp: no memory"

    def __init__(self):
        self.killed = None
        self.told = []
        self._lines = asyncio.Queue()

    def line(self, raw):
        self._lines.put_nowait(raw)

    def say(self, *reports):
        for report in reports:
            self.line(report.model_dump_json(exclude_none=True).encode() + b"\n")

    def die(self):
        self.line(None)

    async def tell(self, order):
        self.told.append(order)

    async def read(self):
        return await self._lines.get()

    async def close(self, *, kill):
        self.killed = kill
        return 1
