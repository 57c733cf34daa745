"""A card lives in memory, for its session, and serves the checks of that session alone."""

import gc
from datetime import date
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.id_card.errors import CardError, PhotoError
from agent.id_card.reader import CardData
from agent.id_card.text import IdCard
from agent.identity.cards import Cards
from agent.identity.checks import PortraitError
from agent.identity.requests import VerifyRequest
from commands.errors import DeskError
from tests.support.clock import ManualClock

ONE = "01890a5d-ac96-774b-bcce-b302099a8057"
OTHER = "01890a5d-ac96-774b-bcce-b302099a8058"
PICTURE = b"\xff\xd8\xff the portrait"
CARD = IdCard(
    kind="resident",
    name="张三",
    name_latin="",
    sex="male",
    nation="汉",
    birth=date(1949, 12, 31),
    address="北京市朝阳区",
    number="11010519491231002X",
    issuer="北京市公安局",
    valid_from=date(2016, 1, 1),
    valid_until=date(2026, 1, 1),
    long_term=False,
    pass_number="",
)


class Reader:
    """Gives the card that lies on it, or says why not."""

    error: CardError | None = None
    reads = 0

    async def read(self, limit_s):
        self.reads += 1
        if self.error:
            raise self.error
        return CardData(CARD, b"\x17" * 1024)


class Kiosk:
    def __init__(self, reader=None):
        self.reader = reader
        self.open = {ONE, OTHER}
        self.decoder: Path | None = Path("/usr/bin/wlt")
        self.photo_error: PhotoError | None = None
        self.cards = Cards(
            reader,
            is_open=lambda session: session in self.open,
            decoder=lambda: self.decoder,
            clock=ManualClock(),
            decode=self._decode,
        )

    async def _decode(self, program, photo):
        if self.photo_error:
            raise self.photo_error
        return PICTURE

    async def document(self, session=ONE, **more):
        request = VerifyRequest(session_id=session, purpose="p", consent_code="c", **more)
        return await self.cards.document(request)


async def test_a_card_is_told_whole_with_what_is_wrong_with_it():
    """Names, dates and number as printed; an expired card says so by the kiosk's day."""
    view = await Kiosk(Reader()).cards.read(ONE, 20)
    assert (view.name, view.birth, view.valid_until) == ("张三", "1949-12-31", "2026-01-01")
    assert view.problems == ("expired",)
    assert view.has_portrait


async def test_the_document_of_a_session_is_its_card():
    """Its picture is what the person is compared with, its number what the pseudonym is of."""
    kiosk = Kiosk(Reader())
    await kiosk.cards.read(ONE, 20)
    document = await kiosk.document()
    assert (document.portrait, document.number) == (PICTURE, CARD.number)
    with pytest.raises(PortraitError):
        await kiosk.document(OTHER)


async def test_a_picture_comes_before_the_card():
    """Who hands a picture in wants that one."""
    kiosk = Kiosk(Reader())
    await kiosk.cards.read(ONE, 20)
    document = await kiosk.document(portrait=b"aGVsbG8=", document_number="P-1")
    assert (document.portrait, document.number) == (b"hello", "P-1")


async def test_a_card_is_gone_with_its_session():
    """Nothing in memory refers to it any more."""
    kiosk = Kiosk(Reader())
    await kiosk.cards.read(ONE, 20)
    kiosk.cards.keep_only({ONE, OTHER})
    assert await kiosk.document()
    kiosk.cards.keep_only({OTHER})
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, CardData)]
    with pytest.raises(PortraitError):
        await kiosk.document()


async def test_a_session_that_ended_meanwhile_keeps_no_card():
    """A card that is read too late is not kept for anybody."""
    kiosk = Kiosk(Reader())
    kiosk.open.clear()
    with pytest.raises(DeskError, match="session"):
        await kiosk.cards.read(ONE, 20)
    assert kiosk.reader.reads == 0


@pytest.mark.parametrize(
    ("reader", "text"),
    [(None, "no reader"), (Reader(), "no card was laid on")],
)
async def test_without_a_card_the_reason_is_told(reader, text):
    """A kiosk without a reader, and one on which nobody laid a card."""
    if reader:
        reader.error = CardError(code="no_card", text="no card was laid on the reader")
    with pytest.raises(DeskError, match=text) as raised:
        await Kiosk(reader).cards.read(ONE, 20)
    assert raised.value.code == "no_card"


async def test_the_journal_has_the_code_of_what_was_no_card():
    """To the application all of it is ``no_card``; who looks for the cause needs more."""
    reader = Reader()
    reader.error = CardError(code="remove_card", text="a card from before still lies there")
    with capture_logs() as logs, pytest.raises(DeskError, match="from before") as raised:
        await Kiosk(reader).cards.read(ONE, 20)
    assert raised.value.code == "no_card"
    assert [entry["code"] for entry in logs] == ["remove_card"]


async def test_a_portrait_that_cannot_be_decoded_is_no_portrait():
    """The check is told, and answers refer."""
    kiosk = Kiosk(Reader())
    await kiosk.cards.read(ONE, 20)
    kiosk.photo_error = PhotoError(code="no_decoder", text="no program is set")
    with pytest.raises(PortraitError) as raised:
        await kiosk.document()
    assert raised.value.reason == "portrait_unreadable"
