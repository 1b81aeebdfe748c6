"""Templates of any kind, in both languages and none: checked with a problem, or rendered, or refused for the event."""

from contextlib import suppress
from random import Random

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.template import check_template, first_names, render_body
from tests.differential.random_templates import event, template
from tests.fuzz.alphabet import text

WORDS = (
    *("{{", "}}", "{{ ", " }}", "{{-", "-}}", "{%", "%}", "{#", "#}", "/*", "*/", ".", ".a", "$", "$x", ":=", "=", "|"),
    *("(", ")", '"', "'", "`", "\\", ",", " ", "\n", "1", "-1.5", "if", "else", "end", "range", "with", "for", "in"),
    *("endif", "endfor", "break", "nil", "true", "print", "printf", "html", "json", "len", "eq", "index", "a", "list"),
    *("loop", "default", "tojson", "upper", "<", ">", "<b>", "<!--", "-->", "{", "}", "[", "]", ":", "\\u00", "%", "é"),
)


def fuzz(n: int, seed: int) -> None:
    rng = Random(seed)
    for _ in range(n):
        _judge(_any(rng), event(rng), as_json=rng.random() < 0.5)


def _any(rng: Random) -> str:
    """Return words in any order, a template with something else in its midst, or any text."""
    words = "".join(rng.choice(WORDS) for _ in range(rng.choice((2, 5, 12, 40))))
    if rng.random() < 0.4:
        return words
    sound = template(rng)
    at = rng.randrange(len(sound) + 1)
    return sound[:at] + rng.choice((words, text(rng), "")) + sound[at + rng.choice((0, 0, 1, 3)) :]


def _judge(source: str, document: dict[str, object], *, as_json: bool) -> None:
    problems = check_template(source, html=True, as_json=as_json)
    if problems:
        (problem,) = problems
        assert problem.message.isprintable(), source
        assert (problem.variable, problem.warning) == ("template", False), source
        return
    first_names(source)
    with suppress(RenderError):
        render_body(source, document, as_json=as_json)
