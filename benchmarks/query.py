"""Measure how long hostile queries take to be parsed or refused, and matching beside reading the events.

    python -m benchmarks.query [EVENTS]

EVENTS (default 1,000,000) of about 500 bytes are read with json.loads, alone and with a matcher, in turns.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator

from kubectl_sew.query import CALICO, QueryError, bind, compile_matcher, parse
from kubectl_sew.query.explain import explain

SIZE = 16 * 1024
CHUNK = 20_000
DISTINCT = 4 * CHUNK


def _filled(unit: str) -> str:
    return (unit * (SIZE // len(unit)))[:SIZE]


HOSTILE = {
    "brackets": _filled("("),
    "brackets open and close": _filled("()"),
    "NOT NOT NOT": _filled("NOT "),
    "!!!…a=b": "!" * (SIZE - 3) + "a=b",
    "1,000 selectors": " AND ".join(["abcd=efghi"] * 1_000),
    "1,000 in negated brackets": " OR ".join(["(!a=b AND c=d)"] * 500),
    "1,000 sets": " OR ".join(["a IN {b}"] * 1_000),
    "1,000 members": "host IN {" + ",".join(['"abcdefghij*"'] * 1_000) + "}",
    "1,000 unknown keys": " OR ".join(f"zz{n:04}=b" for n in range(1_000)),
    "quotes": _filled('"'),
    "backslashes": '"' + _filled("\\"),
    "escapes": 'a="' + r"\x41" * 4_000 + '"',
    "words": _filled("a "),
    "commas": ("a IN {" + "," * SIZE)[:SIZE],
    "stray signs": _filled("&;"),
    "dots": _filled("a."),
    "digits": "severity=" + "9" * (SIZE - 9),
    "stars": "host IN {`" + "*a" * 8_000 + "`}",
    "heavy wildcards": "host IN {" + ",".join(f'"*a{"?" * 9}{n}"' for n in range(600)) + "}",
    "light wildcards": "host IN {" + ",".join(f'"*abcdefg{n}?hi?j?k"' for n in range(600)) + "}",
    "deep and wide": "(" * 32 + " AND ".join(["a=b"] * 1_000) + ")" * 32,
    "newlines": _filled("a=b\n"),
    "emoji": "a = `" + "😀" * 4_000 + "`",
}
QUERIES = {
    "strings": "type = waf AND severity > 50 AND host != web-1".replace("web-1", '"web-1"'),
    "addresses": 'source_ip = "10.0.0.0/9" AND dest_ip != "192.168.0.1" AND source_ip >= "10.0.0.1"',
    "times": 'time > 1700000000 AND time < "2033-01-01T00:00:00Z" AND time > "now-36500d"',
    "wildcards": 'host IN {"web-*", db} AND description IN {"*scan*host*"} AND name NOTIN {"*brute*"}',
}


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000_000
    worst = max((_hostile(name, text) for name, text in HOSTILE.items()), default=0.0)
    print(f"worst of {len(HOSTILE)} hostile queries: {worst * 1_000:.1f} ms (limit 200 ms)")
    lines = [make_event(random.Random(seed)) for seed in range(DISTINCT)]
    print(f"{count:,} events of {sum(map(len, lines)) // len(lines)} bytes, {DISTINCT:,} of them different")
    for name, query in QUERIES.items():
        _compare(name, query, lines, count)


def _hostile(name: str, text: str) -> float:
    start = time.perf_counter()
    try:
        explain(bind(parse(text), CALICO))
        result = "parsed"
    except QueryError as error:
        result = f"refused: {error.problems[0].message[:60]}"
        error.render()
    spent = time.perf_counter() - start
    print(f"  {spent * 1_000:6.1f} ms  {name}: {result}")
    return spent


def make_event(rng: random.Random) -> str:
    """Return an event of about 500 bytes, as JSON."""
    return json.dumps(
        {
            "id": f"{rng.getrandbits(64):016x}",
            "time": rng.choice([1_700_000_000, "2026-01-31T12:00:00Z"])
            if rng.random() < 0.3
            else rng.randint(1, 2**31),
            "type": rng.choice(["waf", "global_alert", "suspicious_flow"]),
            "name": rng.choice(["WAF rule", "SSH brute force", "Port scan"]),
            "description": "A port scan was seen on a host of the cluster" + " and more" * rng.randint(0, 8),
            "severity": rng.randint(0, 100),
            "source_ip": f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}",
            "source_port": rng.randint(1, 65535),
            "dest_ip": f"192.168.{rng.randint(0, 255)}.{rng.randint(0, 255)}",
            "dest_port": 443,
            "host": f"web-{rng.randint(1, 9)}",
            "dismissed": False,
            "mitre_ids": ["T1190", "T1595"],
            "record": {"method": "GET", "path": "/admin/login.php", "rules": [{"id": "942100", "message": "SQL"}]},
        }
    )


def _compare(name: str, query: str, lines: list[str], count: int) -> None:
    match = compile_matcher(bind(parse(query), CALICO))
    bare = matched = 0.0
    for chunk in _chunks(lines, count):
        bare += _time(lambda chunk=chunk: _read(chunk))  # type: ignore[misc]  # bound now, called at once
        matched += _time(lambda chunk=chunk: _select(chunk, match))  # type: ignore[misc]  # likewise
    print(f"  {name}: json.loads {bare:.2f} s, with the matcher {matched:.2f} s: {matched / bare:.2f} times")


def _chunks(lines: list[str], count: int) -> Iterator[list[str]]:
    for start in range(0, count, CHUNK):
        at = start % len(lines)
        yield lines[at : at + min(CHUNK, count - start)]


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _read(lines: list[str]) -> int:
    events = 0
    for line in lines:
        json.loads(line)
        events += 1
    return events


def _select(lines: list[str], match: Callable[[dict[str, object], float], bool]) -> int:
    return sum(1 for line in lines if match(json.loads(line), 1_767_225_600.0))


if __name__ == "__main__":
    main()
