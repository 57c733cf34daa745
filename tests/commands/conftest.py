from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from contract.keys import PrivateKey
from tests.support.commanded import CommandedKiosk
from tests.support.operators import make_key


@pytest.fixture(scope="session")
def li() -> PrivateKey:
    return make_key("li")


@pytest.fixture
def zhao() -> PrivateKey:
    return make_key("zhao")


@pytest.fixture
async def make_kiosk(
    tmp_path: Path, li: PrivateKey
) -> AsyncIterator[Callable[..., CommandedKiosk]]:
    made: list[CommandedKiosk] = []

    def make(*, keys=(), **options) -> CommandedKiosk:
        kiosk = CommandedKiosk(tmp_path, [li, *keys], **options)
        made.append(kiosk)
        return kiosk

    yield make
    for kiosk in made:
        await kiosk.ledger.close()
