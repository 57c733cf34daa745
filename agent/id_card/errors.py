"""What can go wrong with identity cards and their reader.

IdCardError           its ``code`` is for programs, its text for a person; neither quotes the card
├── NumberError       a number breaks the rules of its kind
├── CardTextError     what the card says is not in a known form
├── PortError         the serial device is missing, taken, or went away
├── ReaderFaultError  the reader is there and does not work
├── CardError         no card was read
└── PhotoError        the card's picture cannot be made visible
"""

from agent.errors import AgentError


class IdCardError(AgentError):
    """Something about a card or its reader."""

    def __init__(self, *, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NumberError(IdCardError):
    """``number_form``, ``number_region``, ``number_birth``, ``number_future``, ``check_digit``."""


class CardTextError(IdCardError):
    """``card_unreadable`` or ``card_unsupported``."""


class PortError(IdCardError):
    """``not_found``, ``gone``: it is unplugged; ``forbidden``, ``busy``, ``not_serial``."""

    @property
    def is_absent(self) -> bool:
        """Whether the device is not there."""
        return self.code in {"not_found", "gone"}


class ReaderFaultError(IdCardError):
    """``no_answer``, ``bad_answer``, or the name of what the reader said of itself."""


class CardError(IdCardError):
    """Why nothing was read.

    ``no_card``, ``remove_card`` (the one from before still lies there), ``busy``,
    ``reader_unavailable``, ``card_unreadable``, ``card_unsupported``, or what the reader said of
    the card.
    """


class PhotoError(IdCardError):
    """``no_decoder``, ``decoder_failed``, ``decoder_slow``, ``too_large``, ``not_picture``."""
