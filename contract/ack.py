"""``down/ack``: the centre's watermark."""

from pydantic import Field

from contract.limits import MAX_ACK_BYTES
from contract.wire import WireModel, parse


class Watermark(WireModel):
    """The centre has stored every message of this kiosk up to and including ``sequence``."""

    sequence: int = Field(ge=0)


def parse_watermark(payload: bytes) -> Watermark:
    """Read a watermark; raises :class:`~contract.errors.ContractError`."""
    return parse(Watermark, payload, limit=MAX_ACK_BYTES)
