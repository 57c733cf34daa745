"""Numbers of identity documents: their form, the date in them, and the check digit.

Citizen numbers are of GB 11643: six digits of the region (GB/T 2260), eight of the birth date,
three of the order on that day (odd: male), and a check digit of ISO 7064 MOD 11-2. Residence
permits of people from Hong Kong, Macau and Taiwan have such numbers with the regions 810000, 820000
and 830000 (State Council, 2018); permanent residents from abroad have had them since 2023, with 9,
the province that took the application, and the country's three digits in place of the region
(National Immigration Administration, 2023). Their cards of 2017 have 15 characters; by which rule
the last one is a check digit is not public: it is not verified.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from agent.id_card.errors import NumberError

Holder = Literal["citizen", "hong_kong", "macau", "taiwan", "foreigner"]
Sex = Literal["male", "female", "unknown"]

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"
_FORM = re.compile(r"[0-9]{17}[0-9X]")
_FORM_2017 = re.compile(r"[A-Z]{3}[0-9]{12}")
_PROVINCES = re.compile("1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71")
_PERMITS: dict[str, Holder] = {"810000": "hong_kong", "820000": "macau", "830000": "taiwan"}


@dataclass(frozen=True, slots=True, repr=False)
class CitizenNumber:
    """A number of 18 characters that keeps the rules."""

    value: str
    birth: date
    sex: Sex
    region: str
    """Six digits; of a foreigner 9, the province, and the country (ISO 3166-1 numeric)."""
    holder: Holder

    @classmethod
    def parse(cls, text: str, today: date | None) -> "CitizenNumber":
        """Verify a number; a small x is taken for X.

        Args:
            text: the number; spaces around it do not matter.
            today: no birth is later; None where the day is not known.

        Raises:
            NumberError: the number breaks a rule.
        """
        value = text.strip().upper()
        if not _FORM.fullmatch(value):
            raise NumberError(
                code="number_form", text="the number is not 17 digits and a digit or X"
            )
        holder = _holder(value[:6])
        birth = _date(value[6:14])
        if birth is None:
            raise NumberError(code="number_birth", text="the number's birth date does not exist")
        if value[17] != check_digit(value[:17]):
            raise NumberError(code="check_digit", text="the number's check digit is wrong")
        if today is not None and birth > today:
            raise NumberError(code="number_future", text="the number's birth date is yet to come")
        sex: Sex = "male" if int(value[16]) % 2 else "female"
        return cls(value, birth, sex, value[:6], holder)

    def is_of(self, birth: date) -> bool:
        """Whether it is the number of somebody born on that day."""
        return birth == self.birth


@dataclass(frozen=True, slots=True, repr=False)
class ForeignerNumber2017:
    """A number of 15 characters, on a foreigner's permanent residence card of before 2023."""

    value: str
    country: str
    """Three letters (ISO 3166-1)."""
    region: str
    """Four digits: where the application was made."""
    birth_yymmdd: str
    """Without the century."""

    @classmethod
    def parse(cls, text: str) -> "ForeignerNumber2017":
        """Verify what can be verified. Raises :class:`NumberError`."""
        value = text.strip().upper()
        if not _FORM_2017.fullmatch(value):
            raise NumberError(
                code="number_form", text="the number is not three letters and 12 digits"
            )
        birth = value[7:13]
        if _date("19" + birth) is None and _date("20" + birth) is None:
            raise NumberError(code="number_birth", text="the number's birth date does not exist")
        return cls(value, value[:3], value[3:7], birth)

    def is_of(self, birth: date) -> bool:
        """Whether it can be the number of somebody born on that day."""
        return f"{birth:%y%m%d}" == self.birth_yymmdd


def check_digit(digits: str) -> str:
    """Return the last character of a number that begins with these 17 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return _CHECK_DIGITS[total % 11]


def _holder(region: str) -> Holder:
    if (holder := _PERMITS.get(region)) is not None:
        return holder
    if region[0] == "9" and _PROVINCES.fullmatch(region[1:3]):
        return "foreigner"
    if _PROVINCES.fullmatch(region[:2]):
        return "citizen"
    raise NumberError(code="number_region", text="the number's region does not exist")


def _date(digits: str) -> date | None:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
