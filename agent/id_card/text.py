"""What an identity card says: 256 bytes of UTF-16LE in fields of fixed width.

There are four layouts, told apart by the letter at byte 248: a resident's (a space), a residence
permit for people from Hong Kong, Macau and Taiwan (``J``, 2018), a foreigner's permanent residence
card of 2017 (``I``) and of 2023 (``Y``). Field widths as in public descriptions and drivers.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from agent.id_card.citizen_number import CitizenNumber, ForeignerNumber2017, Sex
from agent.id_card.errors import CardTextError, NumberError
from agent.id_card.protocol import TEXT_BYTES
from contract import Stamp

CardKind = Literal["resident", "hk_macau_taiwan", "foreigner"]
Validity = Literal["valid", "expired", "not_yet_valid", "unreadable", "unknown"]
"""``unknown``: what day it is is not known."""

_SEXES: dict[str, Sex] = {"1": "male", "2": "female"}
_NATION_NAMES = (
    "汉 蒙古 回 藏 维吾尔 苗 彝 壮 布依 朝鲜 满 侗 瑶 白 土家 哈尼 哈萨克 傣 黎 傈僳 佤 "
    "畲 高山 拉祜 水 东乡 纳西 景颇 柯尔克孜 土 达斡尔 仫佬 羌 布朗 撒拉 毛南 仡佬 锡伯 "
    "阿昌 普米 塔吉克 怒 乌孜别克 俄罗斯 鄂温克 德昂 保安 裕固 京 塔塔尔 独龙 鄂伦春 "
    "赫哲 门巴 珞巴 基诺"
)
_NATIONS = dict(enumerate(_NATION_NAMES.split(), start=1)) | {
    97: "其他",
    98: "外国血统中国籍人士",
}
"""By the codes of GB/T 3304."""
_LONG_TERM = "长期"
_KIND_AT = 248
_BEIJING = timedelta(hours=8)


@dataclass(frozen=True, slots=True, repr=False)
class IdCard:
    """What is on a card. Dates that are none are None; empty texts are not on this kind of card."""

    kind: CardKind
    name: str
    """In Chinese; a foreigner may have none."""
    name_latin: str
    sex: Sex
    nation: str
    """Of a resident the ethnic group, of a foreigner the country's three letters."""
    birth: date | None
    address: str
    number: str
    issuer: str
    valid_from: date | None
    valid_until: date | None
    long_term: bool
    """Valid for ever."""
    pass_number: str
    """Of the travel permit, on a residence permit of ``hk_macau_taiwan``."""

    def validity(self, today: date | None) -> Validity:
        """Whether it is valid on a day, the first and the last one included."""
        if self.valid_from is None or (self.valid_until is None and not self.long_term):
            return "unreadable"
        if today is None:
            return "unknown"
        if today < self.valid_from:
            return "not_yet_valid"
        return "valid" if self.valid_until is None or today <= self.valid_until else "expired"

    def problems(self, today: date | None) -> tuple[str, ...]:
        """What is wrong with the card, as codes; empty where nothing is.

        ``number_form``, ``number_region``, ``number_birth``, ``number_future``, ``check_digit``,
        ``birth_unreadable``, ``birth_differs`` (the number has another date), ``expired``,
        ``not_yet_valid``, ``validity_unreadable``, ``validity_unknown``.

        Args:
            today: as :func:`day_of` tells.
        """
        found = [self._problem_of_number(today)]
        if self.birth is None:
            found.append("birth_unreadable")
        match validity := self.validity(today):
            case "unreadable" | "unknown":
                found.append(f"validity_{validity}")
            case "expired" | "not_yet_valid":
                found.append(validity)
        return tuple(problem for problem in found if problem)

    def _problem_of_number(self, today: date | None) -> str | None:
        number: CitizenNumber | ForeignerNumber2017
        try:
            if self.kind == "foreigner" and len(self.number) == 15:
                number = ForeignerNumber2017.parse(self.number)
            else:
                number = CitizenNumber.parse(self.number, today)
        except NumberError as error:
            return error.code
        differs = self.birth is not None and not number.is_of(self.birth)
        return "birth_differs" if differs else None


def day_of(stamp: Stamp) -> date | None:
    """Return the day in China, by which cards count; None where the clock is not synchronised."""
    return (stamp.time + _BEIJING).date() if stamp.time_quality == "synced" else None


def parse_text(content: bytes) -> IdCard:
    """Read the text of a card.

    Raises:
        CardTextError: it is not as long as it should be, not UTF-16, or of an unknown kind.
    """
    if len(content) != TEXT_BYTES:
        raise CardTextError(code="card_unreadable", text="the card's text is not 256 bytes long")
    try:
        kind = _field(content, _KIND_AT, 2)
        match kind:
            case "" | "\0":
                return _resident(content, "resident")
            case "J":
                return _resident(content, "hk_macau_taiwan")
            case "I":
                return _foreigner_2017(content)
            case "Y":
                return _foreigner_2023(content)
    except UnicodeDecodeError:
        raise CardTextError(code="card_unreadable", text="the card's text is not UTF-16") from None
    raise CardTextError(
        code="card_unsupported", text="the card is of a kind that is not known here"
    )


def _resident(content: bytes, kind: CardKind) -> IdCard:
    until = _field(content, 204, 16)
    is_permit = kind == "hk_macau_taiwan"
    return IdCard(
        kind=kind,
        name=_field(content, 0, 30),
        name_latin="",
        sex=_sex(content, 30),
        nation="" if is_permit else _nation(_field(content, 32, 4)),
        birth=_date(_field(content, 36, 16)),
        address=_field(content, 52, 70),
        number=_field(content, 122, 36),
        issuer=_field(content, 158, 30),
        valid_from=_date(_field(content, 188, 16)),
        valid_until=_date(until),
        long_term=until == _LONG_TERM,
        pass_number=_field(content, 220, 18) if is_permit else "",
    )


def _foreigner_2017(content: bytes) -> IdCard:
    return IdCard(
        kind="foreigner",
        name=_field(content, 158, 30),
        name_latin=_field(content, 0, 120),
        sex=_sex(content, 120),
        nation=_field(content, 152, 6),
        birth=_date(_field(content, 220, 16)),
        address="",
        number=_field(content, 122, 30),
        issuer="",
        valid_from=_date(_field(content, 188, 16)),
        valid_until=_date(_field(content, 204, 16)),
        long_term=False,
        pass_number="",
    )


def _foreigner_2023(content: bytes) -> IdCard:
    return IdCard(
        kind="foreigner",
        name=_field(content, 0, 30),
        name_latin=_trimmed(_decoded(content, 52, 70) + _decoded(content, 220, 22)),
        sex=_sex(content, 30),
        nation=_field(content, 242, 6),
        birth=_date(_field(content, 36, 16)),
        address="",
        number=_field(content, 122, 36),
        issuer="",
        valid_from=_date(_field(content, 188, 16)),
        valid_until=_date(_field(content, 204, 16)),
        long_term=False,
        pass_number="",
    )


def _decoded(content: bytes, begin: int, size: int) -> str:
    return content[begin : begin + size].decode("utf-16-le")


def _trimmed(text: str) -> str:
    return text.strip(" \0\u3000")


def _field(content: bytes, begin: int, size: int) -> str:
    return _trimmed(_decoded(content, begin, size))


def _sex(content: bytes, begin: int) -> Sex:
    return _SEXES.get(_field(content, begin, 2), "unknown")


def _nation(code: str) -> str:
    return _NATIONS.get(int(code), "") if code.isascii() and code.isdigit() else ""


def _date(text: str) -> date | None:
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
