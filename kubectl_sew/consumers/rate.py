"""The variable `rate`, which every consumer has: how fast one webhook's receiver may be sent to."""

import re

from kubectl_sew.consumers import settings
from kubectl_sew.consumers.base import Config, ConfigProblem, Variable

RATE_VARIABLE = Variable(
    "rate",
    required=False,
    meaning="most requests, such as `1/s` or `10/min`; the agent's own limit for the consumer still holds",
    asked=False,
)

_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)/(s|min|h)")
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}


def parse_rate(text: str) -> float:
    """Read `1/s` or `10/min` as events a second."""
    match = _RATE.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError("must be a rate above zero such as 1/s or 10/min")
    return float(match[1]) / _PER[match[2]]


def rate_of(config: Config, most: float) -> float:
    """Return requests a second for a checked configuration; `most` where it asks for more or for nothing."""
    asked = settings.text(config, "rate")
    return min(parse_rate(asked), most) if asked else most


def check_rate(config: Config) -> list[ConfigProblem]:
    try:
        rate_of(config, 1.0)
    except ValueError:
        hint = "write it as `1/s`, `10/min` or `100/h`, above zero"
        return [ConfigProblem("rate", "`rate` must be a number of requests per second, minute or hour", hint)]
    return []
