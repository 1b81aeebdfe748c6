"""Texts that may be queries are parsed, or refused with a message; a parsed one means the same when written again."""

from contextlib import suppress
from random import Random

from kubectl_sew.query import ANY, CALICO, Node, QueryError, bind, compile_matcher, explain, parse, to_dsl
from kubectl_sew.query.errors import RENDER_LIMIT
from tests.fuzz.alphabet import PIECES, text

_LANGUAGE = (
    *(
        "type",
        "severity",
        "source_ip",
        "time",
        '"dns.qname"',
        '"record.x"',
        "tpye",
        "waf",
        "10.0.0.0/8",
        '"10.0.0.0/8"',
    ),
    *(" AND ", " or ", " NOT ", "!", "&&", "||", " IN ", " NOTIN ", " EMPTY", "(", ")", "{", "}", ",", "=", "!=", ">="),
    *('"now-1d"', '"a*"', '"\\x41"', '"\\u202e"', "`\\`", "'", '"', "\\", "==", "~", "≥", "\u200b"),
)


def fuzz(n: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(n):
        _judge(text(random, (*_LANGUAGE * 4, *PIECES), 12), random)


def _judge(written: str, random: Random) -> None:
    try:
        node = parse(written)
    except QueryError as error:
        refusal = error.render()
    else:
        _use(node, written, random)
        return
    assert len(refusal) <= RENDER_LIMIT, repr(written)
    assert refusal.replace("\n", "").isprintable(), repr(written)


def _use(node: Node, written: str, random: Random) -> None:
    again = str(node)
    assert parse(again) == node, (written, again)
    assert again.isprintable(), repr(written)
    for fields in (CALICO, ANY):
        with suppress(QueryError):
            query = bind(node, fields)
            to_dsl(query)
            explain(query)
            compile_matcher(query)({"type": text(random), "severity": 90}, 1.8e9)
