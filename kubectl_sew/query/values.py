"""Texts of values, parsed: numbers, addresses, moments, wildcards. For queries and events alike."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

SECOND = 1_000_000_000
"""Nanoseconds."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""
LAST_SECOND_OF_NANOSECONDS = 9_223_372_035
"""The last whole second whose end 63 bits of nanoseconds reach."""
_V4_MAPPED = 0xFFFF << 32
_OCTETS = {str(octet): octet for octet in range(256)}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RELATIVE = re.compile(r"now(?:-([0-9]{1,9})([smhd]))?")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses `low` to `high` as 128-bit numbers, IPv4 as IPv6 maps it; `text` is how Elasticsearch reads it."""

    low: int
    high: int
    text: str

    @property
    def single(self) -> bool:
        """True for one address."""
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` nanoseconds since the epoch, or before now where `relative`."""

    at: int
    relative: bool = False

    @property
    def whole(self) -> bool:
        """True where it is equal to a whole second."""
        return self.relative or self.at % SECOND == 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """A wildcard pattern: plain text between `*` (None) and `?` (""); of neighbours the `?` come first, and one `*`."""

    parts: tuple[str | None, ...]


def read_number(text: str) -> int | float | None:
    """Parse a decimal number, whole ones as int with all their digits; None for other text, and for an infinite one."""
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if number in (float("inf"), float("-inf")):
        return None
    return _exact(text) if number.is_integer() else number


def _exact(text: str) -> int | float:
    """`1e18` and `9007199254740993.0` have more digits than a float keeps; `float` has bounded the exponent already."""
    from decimal import Decimal  # noqa: PLC0415  # rare, and every start would pay

    number = Decimal(text)
    if number.adjusted() < 0:  # too small for a float, which made it zero
        return 0 if not number else float(text)
    whole = int(number)
    return whole if whole == number else float(text)


def parse_address(text: str) -> int | None:
    """Parse an IP address as a 128-bit number; None for other text, also for an address with a zone (`%eth0`)."""
    # By hand, since events are full of these: the standard library takes four times as long.
    try:
        first, second, third, fourth = text.split(".")
        return (_OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]) + _V4_MAPPED
    except (ValueError, KeyError):
        return _version6(text) if ":" in text and len(text) <= 64 else None


@lru_cache(maxsize=65_536)
def _version6(text: str) -> int | None:
    try:
        return None if "%" in text else int(IPv6Address(text))
    except AddressValueError:
        return None


def parse_network(text: str) -> Network | None:
    """Parse an address or a CIDR, host bits masked; None for other text."""
    base, slash, length = text.partition("/")
    low = parse_address(base) if len(text) <= 64 else None
    if low is None or (slash and not re.fullmatch("[0-9]{1,3}", length)):
        return None
    bits = 128 if not slash else int(length) + (0 if ":" in base else 96)
    if bits > 128:
        return None
    mask = (1 << (128 - bits)) - 1
    low &= ~mask
    return Network(low, low | mask, _network_text(low, bits))


def _network_text(low: int, bits: int) -> str:
    version4 = low >> 32 == 0xFFFF and bits >= 96
    host = str(IPv4Address(low & 0xFFFFFFFF) if version4 else IPv6Address(low))
    return host if bits == 128 else f"{host}/{bits - 96 if version4 else bits}"


def parse_moment(text: str) -> Moment | None:
    """Parse seconds since the epoch, RFC 3339, `now` or `now-15m`; None for other text. The range is not checked."""
    relative = _RELATIVE.fullmatch(text)
    if relative:
        return Moment(int(relative[1] or 0) * _UNITS[relative[2] or "s"] * SECOND, relative=True)
    if _NUMBER.fullmatch(text) and len(text) <= 32:
        return _from_seconds(text)
    return parse_rfc3339(text)


def _from_seconds(text: str) -> Moment | None:
    if "e" not in text.lower():
        whole, _, fraction = text.partition(".")
        sign = -1 if whole.startswith("-") else 1
        return Moment(int(whole or 0) * SECOND + sign * int(fraction.ljust(9, "0")[:9]))
    seconds = read_number(text)
    return None if seconds is None else Moment(int(seconds * SECOND))


def parse_rfc3339(text: str) -> Moment | None:
    """Parse RFC 3339 with its offset, to the nanosecond; None for other text."""
    match = _RFC3339.fullmatch(text)
    if not match:
        return None
    date, clock, fraction, zone = match.groups()
    try:
        whole = datetime.fromisoformat(f"{date}T{clock}{zone.upper()}") - _EPOCH
    except (ValueError, OverflowError):
        return None
    return Moment((whole.days * 86_400 + whole.seconds) * SECOND + int((fraction or "").ljust(9, "0")))


def parse_pattern(text: str) -> Pattern | str:
    """Parse a set's member: a pattern where it has a wildcard, else its plain text with the escapes resolved."""
    parts: list[str | None] = []
    star = False
    for run, plain in re.findall(r"([*?]+)|((?:\\[*?\\]|[^*?])+)", text):
        star = star or "*" in run
        parts += [""] * run.count("?")
        if plain:
            parts += [None] * star + [re.sub(r"\\([*?\\])", r"\1", plain)]
            star = False
    parts += [None] * star
    return Pattern(tuple(parts)) if not all(parts) else "".join(filter(None, parts))


def lower(text: str) -> str:
    r"""Lower each code point by itself, as Elasticsearch's `lowercase` does: no final sigma, one `i` for \u0130."""
    return text.lower() if text.isascii() else text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()
