"""The work that wildcards are. Elasticsearch makes a deterministic automaton of a pattern, and refuses a large one.

Lucene sums the sizes of the sets of states that it meets, and refuses a pattern at 100,000; its sets are up to three
times as large as those counted here (org.apache.lucene.util.automaton.Operations.determinize).
"""

from collections.abc import Iterator

from kubectl_sew.query.ast import Membership, Node, leaves
from kubectl_sew.query.errors import QueryProblem
from kubectl_sew.query.values import Pattern, parse_pattern

MOST_WORK = 30_000
"""The limit for one pattern."""
MOST_WORK_OF_A_QUERY = 100_000
"""The limit for all patterns that are not small: counting to it takes some 50 ms."""
_SMALL = 10_000


def too_much_work(node: Node) -> Iterator[QueryProblem]:
    """Yield a problem of the first member whose wildcards Elasticsearch would refuse, alone or with those before."""
    left = MOST_WORK_OF_A_QUERY
    for member in (member for leaf in leaves(node) if isinstance(leaf, Membership) for member in leaf.members):
        parsed = parse_pattern(member.text)
        needed = work(parsed) if isinstance(parsed, Pattern) else 0
        left -= needed
        if needed > MOST_WORK or left < 0:
            message = "these wildcards are too much work: Elasticsearch would refuse them"
            yield QueryProblem(message, member.span, "use fewer `?` after a `*`, and fewer `*`")
            return


def work(pattern: Pattern) -> int:
    """Add up the sizes of all sets of states and the steps between them, to a little over MOST_WORK; 0 if small."""
    if _bound(pattern) <= _SMALL:
        return 0
    letters, steps, loops = _automaton(pattern)
    done, waiting, spent = {1}, [1], 0
    while waiting and spent <= MOST_WORK:
        states = waiting.pop()
        spent += states.bit_count() + len(letters)
        for letter in letters:
            following = ((states & steps[letter]) << 1) | (states & loops)
            if following not in done:
                done.add(following)
                waiting.append(following)
    return spent


def _bound(pattern: Pattern) -> int:
    """Return an upper bound by lengths alone: text behind a star begins anywhere, and each `?` doubles the sets."""
    stars, length = pattern.parts.count(None), sum(len(part or "?") for part in pattern.parts)
    return stars * length**2 << min(pattern.parts.count(""), 20)


def _automaton(pattern: Pattern) -> tuple[set[str], dict[str, int], int]:
    """Return the letters ("" stands for all others), the states that each leads on from, and the states with a loop."""
    tokens: list[str] = []
    loops = 0
    for part in pattern.parts:
        loops |= (1 << len(tokens)) * (part is None)
        tokens += list(part or ([] if part is None else [""]))
    letters = {"", *tokens}
    steps = dict.fromkeys(letters, 0)
    for at, token in enumerate(tokens):
        for letter in (token,) if token else letters:
            steps[letter] |= 1 << at
    return letters, steps, loops
