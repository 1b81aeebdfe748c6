"""Write templates in Calico's language, and events, from one `random.Random`: the same seed gives the same ones."""

from dataclasses import dataclass
from random import Random
from typing import Any

NAMES = ("a", "b", "c", "n", "labels", "list", "größe", "time", "_x", "null", "missing")
TEXTS = (
    *(
        "",
        "a",
        "waf",
        "80",
        "a b",
        'say "hi" & <go>',
        "it's",
        "x+y=z",
        "größe",
        "日本語",
        "😀",
        "a\nb\tc",
        "\x00\x07\x7f",
    ),
    *("<script>alert(1)</script>", "50%", "\u2028\u200b\ufffd", "back\\slash`", "true", "-1.5", "{{.a}}", "\ue000é"),
)
NUMBERS = (
    *(0, 1, 2, 3, -1, 7, 80, 100, 1772443200, 0.5, -2.25, 3.14159, 1e6, 123456, 1234567, 1e21, 1e-5, 0.0001, 1e100),
    *(9007199254740993, 2**64, 100000, 999999.5, 1e20, -0.0, 5e-324),
)
LITERALS = (
    *(
        "0",
        "1",
        "2",
        "3",
        "-1",
        "80",
        "80.0",
        "1.5",
        "1e3",
        "0x1F",
        "0b11",
        "0o17",
        "017",
        "1_000",
        "'x'",
        "'\\n'",
        "+5",
    ),
    *(
        "true",
        "false",
        '"a"',
        '"waf"',
        '"%v"',
        '"\\u00e9\\t\\x41"',
        "`raw \\n`",
        '""',
        '"a<b&\\"c"',
        '"80"',
        '"\\xff"',
        ".5",
    ),
)
OWN_TEXTS = (
    *(
        "",
        " ",
        "\n",
        "a",
        "x=",
        ": ",
        "a < b ",
        "<b>",
        "</b>",
        "<br/>",
        '<a href="x?y=1&z">',
        "& ",
        "<!-- no -->",
        "é😀",
    ),
    *("<", "< ", '{"a": "', '"}', "%", "}}", "} ", "<!DOCTYPE html>", "<i class=x>", "-", "\t\t", "<3", "</", "a<1"),
)
VERBS = (
    *(
        "%v",
        "%s",
        "%d",
        "%q",
        "%x",
        "%X",
        "%f",
        "%.2f",
        "%8.3f",
        "%-8s|",
        "%08.2f",
        "%+d",
        "%5d",
        "%-5d|",
        "%05d",
        "%t",
    ),
    *(
        "%e",
        "%.3e",
        "%g",
        "%.3g",
        "%G",
        "%E",
        "%c",
        "%U",
        "%o",
        "%b",
        "%#x",
        "%+q",
        "%#q",
        "%.3s",
        "%6.2s|",
        "%%",
        "% d",
    ),
    *("% x", "%#X", "%O", "%y", "%", "%05s", "%+v", "%+.1f", "% .2f", "%-08d|", "%.0f", "%#o", "%.5d", "%8.5d", "%10q"),
    *("%3c|", "%F", "%.10g", "%.0d", "%-+8.1f|", "%010d", "%+05d", "%#b", "%#U", "%.f"),
)
ELEMENTS = (
    *('<p class="%s x">', "<b title='%s'>", "<title>%s</title>", '<textarea a="b">%s</textarea >', "<!-- %s -->"),
    *('<a href="%s">', "<p class=%s>", '<p onclick="%s">', "<p %s>", '<x:y z:w="%s"/>', "<TITLE>< %s</title>"),
    *('<i data-x="a %s">', '<i data-url="%s">', '<i xmlns:a="%s">', '<i a:href="%s">'),
)

_OPENING = ("{{", "{{", "{{", "{{ ", "{{- ")
_CLOSING = ("}}", "}}", "}}", " }}", " -}}")


@dataclass(slots=True)
class _Writer:
    """Author of one template: mostly sound, sometimes of the wrong types."""

    rng: Random
    variables: list[str]
    loops: int = 0

    def template(self) -> str:
        return self._body(3)

    def _body(self, depth: int) -> str:
        known = len(self.variables)
        text = "".join(self._piece(depth) for _ in range(self.rng.choice((1, 1, 2, 3, 4))))
        if self.rng.random() < 0.9:  # else it is named in what follows, which may be another branch
            del self.variables[known:]
        return text

    def _piece(self, depth: int) -> str:
        pick = self.rng.random()
        if pick < 0.3:
            return self.rng.choice(OWN_TEXTS)
        if pick < 0.62 or depth == 0:
            return self._act(self._pipeline(2))
        if pick < 0.7:
            return self._set()
        if pick < 0.82:
            return self._branch(depth)
        return self._range(depth) if pick < 0.94 else self._small_piece()

    def _small_piece(self) -> str:
        if self.loops and self.rng.random() < 0.3:
            return self._act(self.rng.choice(("break", "continue")))
        if self.rng.random() < 0.5:
            return self.rng.choice(ELEMENTS).replace("%s", self._body(1))
        return self._act("/* a <comment> {{ */", tight=True)

    def _act(self, inside: str, *, tight: bool = False) -> str:
        opening, closing = self.rng.choice(_OPENING), self.rng.choice(_CLOSING)
        if tight:
            opening, closing = self.rng.choice(("{{", "{{- ")), self.rng.choice(("}}", " -}}"))
        return f"{opening}{inside}{closing}"

    def _set(self) -> str:
        if len(self.variables) > 1 and self.rng.random() < 0.4:
            return self._act(f"{self.rng.choice(self.variables[1:])} = {self._pipeline(1)}")
        value = self._pipeline(2)
        return self._act(f"{self._new_variable()} := {value}")

    def _new_variable(self) -> str:
        name = self.rng.choice(("$x", "$y", "$größe", "$_1"))
        self.variables.append(name)
        return name

    def _branch(self, depth: int) -> str:
        word = self.rng.choice(("if", "if", "with"))
        known = len(self.variables)
        parts = []
        for number in range(self.rng.choice((1, 1, 1, 2, 3))):
            value = self._pipeline(1)
            name = f"{self._new_variable()} := " if self.rng.random() < 0.15 else ""
            begin = f"else {word}" if number else word
            parts += [self._act(f"{begin} {name}{value}"), self._body(depth - 1)]
        if self.rng.random() < 0.5:
            parts += [self._act("else"), self._body(depth - 1)]
        del self.variables[known:]
        return "".join((*parts, self._act("end")))

    def _range(self, depth: int) -> str:
        known = len(self.variables)
        value = self.rng.choice(
            (".list", ".list", ".labels", ".c", "3", "$.list", "(slice .list 1)", self._pipeline(1))
        )
        names = [self._new_variable() for _ in range(self.rng.choice((0, 1, 2, 2)))]
        begin = f"range {', '.join(names)} := {value}" if names else f"range {value}"
        self.loops += 1
        parts = [self._act(begin), self._body(depth - 1)]
        self.loops -= 1
        if self.rng.random() < 0.4:
            parts += [self._act("else"), self._body(depth - 1)]
        del self.variables[known:]
        return "".join((*parts, self._act("end")))

    def _pipeline(self, depth: int) -> str:
        commands = [self._command(depth)]
        while self.rng.random() < 0.25 and len(commands) < 4:
            commands.append(self._piped(depth))
        return self.rng.choice((" | ", "|", " |")).join(commands)

    def _piped(self, depth: int) -> str:
        pick = self.rng.random()
        if pick < 0.5:
            return self.rng.choice(("html", "js", "urlquery", "print", "println", "len", "not", "index .labels"))
        if pick < 0.7:
            return f"printf {self._form()}"
        word = self.rng.choice(("eq", "ne", "lt", "and", "or", "print", "index", "slice"))
        return f"{word} {self._operand(depth)}"

    def _command(self, depth: int) -> str:
        pick = self.rng.random()
        if pick < 0.5 or depth == 0:
            return self._operand(depth)
        if pick < 0.62:
            count = self.rng.choice((1, 2, 2, 3))
            return f"printf {self._form()} {self._operands(count, depth)}"
        if pick < 0.8:
            word = self.rng.choice(("eq", "eq", "ne", "lt", "le", "gt", "ge"))
            return f"{word} {self._operands(2 if word != 'eq' else self.rng.choice((2, 2, 3)), depth)}"
        if pick < 0.9:
            word = self.rng.choice(("and", "or", "print", "println", "html", "js", "urlquery"))
            return f"{word} {self._operands(self.rng.choice((1, 2, 3)), depth)}"
        word = self.rng.choice(("len", "not", "index", "index", "slice", "slice"))
        return f"{word} {self._operands({'len': 1, 'not': 1}.get(word) or self.rng.choice((1, 2, 3)), depth)}"

    def _form(self) -> str:
        verbs = [self.rng.choice(VERBS) for _ in range(self.rng.choice((1, 1, 2)))]
        return f'"{self.rng.choice(("", "a ", "<"))}{"".join(verbs)}"'

    def _operands(self, count: int, depth: int) -> str:
        return " ".join(self._operand(depth) for _ in range(count))

    def _operand(self, depth: int) -> str:
        pick = self.rng.random()
        if pick < 0.4:
            return self._field()
        if pick < 0.5:
            return self.rng.choice(self.variables) + (self._field() if self.rng.random() < 0.4 else "")
        if pick < 0.57:
            return "."
        if pick < 0.6:
            return self.rng.choice(("nil", "$", "."))
        if pick < 0.75 and depth:
            inner = self._command(depth - 1) if self.rng.random() < 0.7 else self._pipeline(depth - 1)
            return f"({inner})" + (self._field() if self.rng.random() < 0.2 else "")
        return self.rng.choice(LITERALS)

    def _field(self) -> str:
        return "".join(f".{self.rng.choice(NAMES)}" for _ in range(self.rng.choice((1, 1, 1, 2))))


def template(rng: Random) -> str:
    """Return one random template."""
    return _Writer(rng, ["$"]).template()


def event(rng: Random) -> dict[str, Any]:
    """Return one random event; `list` and `labels` are mostly what they are called."""
    document = {name: _value(rng, 3) for name in NAMES if name != "missing" and rng.random() < 0.85}
    if rng.random() < 0.8:
        document["list"] = [_value(rng, 1) for _ in range(rng.choice((0, 1, 3, 5)))]
    if rng.random() < 0.8:
        document["labels"] = {rng.choice(NAMES): _value(rng, 1) for _ in range(rng.choice((0, 1, 4)))}
    return document | {"null": None}


def _value(rng: Random, depth: int) -> Any:
    pick = rng.random()
    if pick < 0.4 or depth == 0:
        return rng.choice(TEXTS)
    if pick < 0.65:
        return rng.choice(NUMBERS)
    if pick < 0.78:
        return rng.choice((True, False, None))
    if pick < 0.9:
        return [_value(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 4)))]
    return {rng.choice(NAMES): _value(rng, depth - 1) for _ in range(rng.choice((0, 1, 2, 3)))}
