"""The events of a proof: each is made from its number, so whoever has the number knows what must arrive."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.proof.history import Written

KINDS = ("waf", "alert", "runtime_security", "deep_packet_inspection", "suspicious_dns_query")
WORDS = ("policy", "nginx-5d9f", "10.0.0.7", "Überwachung", "日本", "<script>", "\t", '"quoted"', "\\", "🦝", "\x7f")
BAD_SHARE = 0.01
"""Share of the events that a receiver refuses for good."""


class Events:
    """Events written so far. `clock` gives seconds since the run began, `now` seconds since the epoch."""

    def __init__(
        self, seed: int, webhooks: Sequence[str], clock: Callable[[], float], now: Callable[[], float]
    ) -> None:
        self._seed, self._webhooks, self._clock, self._now = seed, webhooks, clock, now
        self._times: list[int] = []
        self.written: list[Written] = []

    def next(self, severity: int | None = None) -> dict[str, Any]:
        """Make the next event, record it as written now, and return its document."""
        number, chance = len(self.written), random.Random(f"{self._seed} event {len(self.written)}")
        drawn = chance.randrange(100)
        bad = frozenset(name for name in self._webhooks if chance.random() < BAD_SHARE)
        self._times.append(int(self._now()))
        wanted = drawn if severity is None else severity
        self.written.append(Written(number, self._clock(), wanted, chance.choice(KINDS), bad))
        return self.document(number)

    def document(self, number: int) -> dict[str, Any]:
        """Return an event that was written, as its source holds it, without its id."""
        chance = random.Random(f"{self._seed} text {number}")
        words = chance.choices(WORDS, k=chance.randint(1, 40))
        return {
            "time": self._times[number],
            "type": self.written[number].kind,
            "severity": self.written[number].severity,
            "description": " ".join(words),
            "record": {"number": number, "fraction": chance.choice((0.5, 1e-7, -3)), "list": [None, True, {}]},
        }

    def flaw(self, body: Mapping[str, Any]) -> str:
        """Return what is wrong with an event as a receiver got it; "" where nothing is."""
        number = number_of(body)
        if not 0 <= number < len(self.written):
            return "it is none of ours"
        wanted = self.document(number) | {"id": identity(number)}
        wrong = [key for key in {**wanted, **body} if key != "labels" and _text(wanted, key) != _text(body, key)]
        return f"altered in {', '.join(sorted(wrong))}" if wrong else ""


def identity(number: int) -> str:
    """Return the id of an event."""
    return f"e{number}"


def number_of(body: Mapping[str, Any]) -> int:
    """Return the number in a body's id; -1 for none."""
    text = str(body.get("id", ""))
    return int(text[1:]) if text.startswith("e") and text[1:].isdecimal() else -1


def numbers_in(body: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the numbers of the events in a body, which is an event or a digest of several; -1 for each foreign one."""
    digest = body.get("digest")
    if digest is None:
        return (number_of(body),)
    ids = digest.get("ids") if isinstance(digest, dict) else None
    return tuple(number_of({"id": each}) for each in ids or ("",))


def _text(document: Mapping[str, Any], key: str) -> str:
    return json.dumps(document.get(key, "missing"), sort_keys=True)
