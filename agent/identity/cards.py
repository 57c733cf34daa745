"""Identity cards that were read in open sessions: in memory, and gone with the session."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import structlog

from agent.id_card.errors import IdCardError, PhotoError
from agent.id_card.photo import decode_photo
from agent.id_card.reader import CardData, CardReader
from agent.id_card.text import IdCard, day_of
from agent.identity.checks import Document, PortraitError
from agent.identity.requests import CardView, VerifyRequest
from commands.errors import DeskError
from contract import Clock

log = structlog.get_logger()

Decode = Callable[[Path | None, bytes], Awaitable[bytes]]


class Cards:
    """Reads cards for sessions, and gives checks their document.

    Args:
        reader: None: the kiosk has none.
        is_open: whether a session is open.
        decoder: the program that makes a picture of a card's portrait, if one is set.
        clock: the day by which cards count.
        decode: runs it; raises ``PhotoError``.
    """

    def __init__(
        self,
        reader: CardReader | None,
        *,
        is_open: Callable[[str], bool],
        decoder: Callable[[], Path | None],
        clock: Clock,
        decode: Decode = decode_photo,
    ) -> None:
        self._reader = reader
        self._is_open = is_open
        self._decoder = decoder
        self._clock = clock
        self._decode = decode
        self._kept: dict[str, CardData] = {}

    async def read(self, session_id: str, limit_s: float) -> CardView:
        """Wait for a card, and keep what it says until the session ends.

        Raises:
            DeskError: the session is not open, or no card was read; the text says why.
        """
        self._check(session_id)
        if self._reader is None:
            msg = "this kiosk has no reader for identity cards"
            raise DeskError(msg, code="no_card")
        try:
            data = await self._reader.read(limit_s)
        except IdCardError as error:
            log.info("no card for a session", code=error.code)
            raise DeskError(str(error), code="no_card") from None
        self._check(session_id)  # it may have ended meanwhile
        self._kept[session_id] = data
        return self._view(data.card)

    async def document(self, request: VerifyRequest) -> Document:
        """Return what the person of a request is compared with.

        Raises:
            PortraitError: there is no picture of the document.
        """
        if request.portrait is not None:
            return Document(request.portrait, request.document_number)
        data = self._kept.get(request.session_id)
        if data is None:
            raise PortraitError(reason="portrait_unreadable")
        try:
            portrait = await self._decode(self._decoder(), data.photo)
        except PhotoError as error:
            log.warning("card portrait unreadable", code=error.code, text=str(error))
            raise PortraitError(reason="portrait_unreadable") from None
        return Document(portrait, data.card.number)

    def keep_only(self, sessions: Collection[str]) -> None:
        """Forget the cards of all other sessions."""
        for session_id in self._kept.keys() - sessions:
            del self._kept[session_id]

    async def run(self) -> None:
        """Keep the reader at work until cancelled."""
        if self._reader is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self._reader.run()

    def _check(self, session_id: str) -> None:
        if not self._is_open(session_id):
            msg = "no such session is open: a card is read for one"
            raise DeskError(msg, code="no_such_session")

    def _view(self, card: IdCard) -> CardView:
        return CardView(
            kind=card.kind,
            name=card.name or card.name_latin,
            sex=card.sex,
            nation=card.nation,
            birth=card.birth.isoformat() if card.birth else "",
            address=card.address,
            number=card.number,
            issuer=card.issuer,
            valid_from=card.valid_from.isoformat() if card.valid_from else "",
            valid_until="long-term"
            if card.long_term
            else (card.valid_until.isoformat() if card.valid_until else ""),
            problems=card.problems(day_of(self._clock.stamp())),
            has_portrait=self._decoder() is not None,
        )
