"""YAML and JSON text -> documents whose every value knows its line and column. Hostile text is refused, never expanded.

Built from the parser's events with a stack of our own, since composing recurses: nesting, aliases and size are bounded
as they come. Plain scalars are read as kubectl reads them (YAML 1.1, as go-yaml has it).
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from kubectl_sew.resource.findings import Finding, error, shown
from kubectl_sew.resource.scalars import is_finite, read_plain, read_tagged
from kubectl_sew.resource.splitting import split

LARGEST_DOCUMENT = 1 << 20
LARGEST_FILE = 8 << 20
MOST_DOCUMENTS = 10_000
MOST_VALUES = 50_000
"""Values in one document, aliases expanded."""

DEEPEST = 64

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("str", "null", "bool", "int", "float", "map", "seq")}
_QUERIES = ("query", "selector")
"""Keys of a webhook and of an exception whose texts are queries."""
_JSON_PAIR = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_JSON_BEGINS = re.compile(r"(?:---)?\s*[\[{]")
_TEMPLATE = re.compile(r"\{\{-? *[.$a-z]")
_HALF_PAIR = re.compile(r"\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]", re.IGNORECASE)
_HINTS = (
    (re.compile(r"^ *\t"), "indent with spaces, not tabs"),
    (_HALF_PAIR, "one of `\\ud800` to `\\udfff` alone is half of a character: write text in UTF-8"),
    (re.compile(r"""^[ -]*query: +(["']).*?\1 *[^ #,}]"""), "put the whole query in single quotes"),
    (
        re.compile(r"""^[ -]*query: +["'`]?[\w.]+["'`]?: """),
        "a query compares with `=`, not `:`, e.g. `query: type = waf`",
    ),
)
"""Signs in the line in which reading ended -> what is most often the reason."""
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


@dataclass(slots=True)
class DocumentNode:
    """A value with its place (from 1). `value` is a scalar, a list of nodes, or a dict of nodes by key."""

    value: Any
    line: int
    column: int
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Key of a map -> its place."""
    problems: list[Finding] = field(default_factory=list)
    """The problems of this map itself: keys that stand twice."""
    size: int = 1
    height: int = 1

    def plain(self) -> Any:
        """The value without places; aliases become copies."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def all_problems(self) -> list[Finding]:
        """The problems of this value and of all inside."""
        return self.problems + [problem for child in self.children() for problem in child.all_problems()]

    def children(self) -> "list[DocumentNode]":
        """The values of a map, or the items of a list."""
        if isinstance(self.value, dict):
            return list(self.value.values())
        return self.value if isinstance(self.value, list) else []

    def inside(self, step: str | int) -> "DocumentNode | None":
        """Return the node at a key or an index."""
        if isinstance(self.value, dict):
            child: DocumentNode | None = self.value.get(step)
            return child
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            item: DocumentNode = self.value[step]
            return item
        return None

    def place(self, path: tuple[str | int, ...], *, at_key: bool = False) -> tuple[int, int]:
        """Line and column of what is at `path`, or of the last thing on the way that exists."""
        node, place = self, (self.line, self.column)
        for step in path:
            inside = node.inside(step)
            if inside is None:
                break
            place = node.keys.get(str(step), (inside.line, inside.column)) if at_key else (inside.line, inside.column)
            node = inside
        return place


class RefusedDocument(Exception):  # noqa: N818  (it ends the reading of one document, and never leaves this package)
    """A document that cannot be read, with the finding that says so."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def read_documents(text: str | bytes) -> tuple[list[DocumentNode], list[Finding]]:
    """All documents of a file that can be read, and the findings for the others. No text raises anything."""
    try:
        decoded = _decode(text)
        _count(decoded)
    except RefusedDocument as refused:
        return [], [refused.finding]
    documents: list[DocumentNode] = []
    findings: list[Finding] = []
    for first_line, part in split(decoded):
        try:
            documents += _DocumentReader(first_line).read(part)
        except RefusedDocument as refused:
            findings.append(_with_hint(refused.finding, part, first_line))
    return documents, findings


def _with_hint(finding: Finding, part: str, skipped: int) -> Finding:
    """The finding about a part that is not YAML, with what is most often the reason."""
    if finding.code != "SEW001":
        return finding
    if _TEMPLATE.search(part):
        hint = "this looks like a Helm template: `helm template … | kubectl sew validate -f -`"
        return replace(finding, hint=hint)
    lines, at = part.split("\n"), finding.line - skipped - 1
    line = lines[at] if at < len(lines) else ""  # the end of a text may be a line after its last
    return replace(finding, hint=next((hint for sign, hint in _HINTS if sign.search(line)), finding.hint))


def _decode(text: str | bytes) -> str:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > LARGEST_FILE:
        message = f"the file has {len(raw):,} bytes, and at most {LARGEST_FILE:,} are read"
        raise _refuse("SEW003", message, "split it", 1, 1)
    try:
        decoded = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as cause:
        line, column = _line_of(raw[: cause.start].decode("utf-8", "replace"))
        raise _refuse("SEW002", "the file is not UTF-8 text", "save it as UTF-8", line, column) from None
    if unfit := _UNFIT.search(decoded):
        line, column = _line_of(decoded[: unfit.start()])
        message = f"the file holds the character U+{ord(unfit[0]):04X}, which YAML does not allow"
        raise _refuse("SEW002", message, "remove it", line, column)
    return decoded


def _count(text: str) -> None:
    if text.count("\n---") > MOST_DOCUMENTS:
        message = f"the file holds more than {MOST_DOCUMENTS:,} documents"
        raise _refuse("SEW003", message, "split it", 1, 1)


def _line_of(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _refuse(code: str, message: str, hint: str, line: int, column: int) -> RefusedDocument:
    return RefusedDocument(error(code, message, hint, line=line, column=column))


@dataclass(slots=True)
class _Frame:
    """A map or list that is being read, and in a map the key whose value comes next."""

    node: DocumentNode
    anchor: str | None
    key: str | None = None
    given: dict[str, int] = field(default_factory=dict)
    """The keys that stand in the map itself, and their lines."""
    merges: bool = False
    """True where the next value is merged into the map."""


class _DocumentReader:
    """Builds the nodes of one part of a file, which begins after `skipped` lines."""

    def __init__(self, skipped: int) -> None:
        self._skipped = skipped
        self._frames: list[_Frame] = []
        self._anchors: dict[str, DocumentNode] = {}
        self._values = 0
        self._done: list[DocumentNode] = []

    def read(self, part: str) -> list[DocumentNode]:
        if len(part) > LARGEST_DOCUMENT:
            message = f"a document has {len(part):,} characters, and at most {LARGEST_DOCUMENT:,} are read"
            raise _refuse("SEW003", message, "split it", self._skipped + 1, 1)
        try:
            for event in yaml.parse(_join_pairs(part), Loader=_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as cause:
            raise self._unreadable(cause) from None
        except yaml.YAMLError as cause:
            raise _refuse("SEW001", f"not YAML: {cause}"[:300], "", self._skipped + 1, 1) from None
        return self._done

    def _take(self, event: Any) -> None:
        match event:
            case yaml.AliasEvent():
                self._add(self._aliased(event), event)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end(event)
            case yaml.DocumentStartEvent():
                self._anchors, self._values = {}, 0

    def _begin(self, event: Any) -> None:
        self._check_tag(event)
        if len(self._frames) >= DEEPEST:
            raise self._too_deep(event)
        if self._expects_key():
            raise self._at(event, "SEW001", "a map or list is used as a key", "keys must be text")
        node = DocumentNode({} if isinstance(event, yaml.MappingStartEvent) else [], *self._place(event))
        self._frames.append(_Frame(node, event.anchor))

    def _end(self, event: Any) -> None:
        frame = self._frames.pop()
        if frame.anchor:
            self._anchors[frame.anchor] = frame.node
        self._add(frame.node, event)

    def _scalar(self, event: Any) -> None:
        tagged = self._tagged_query(event)
        if not tagged:
            self._check_tag(event)
        if self._expects_key():
            self._begin_pair(event, event.value)
            return
        plain = event.implicit[0] and not event.tag
        value = read_plain(event.value) if plain else read_tagged(event.value, _TAGS.get(event.tag, "str"))
        node = DocumentNode(value, *self._place(event))
        node.problems += tagged
        if not is_finite(value):
            message = f"`{shown(event.value)}` is not a number that Kubernetes can hold"
            node.problems.append(self._at(event, "SEW006", message, "put it in quotes").finding)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._add(node, event)

    def _begin_pair(self, event: Any, key: str) -> None:
        frame = self._frames[-1]
        frame.key = key
        frame.merges = key == "<<" and event.implicit[0]
        if key in frame.given:
            twice = f"the key `{shown(key)}` is used twice in one map"
            frame.node.problems.append(self._at(event, "SEW004", twice, f"first in line {frame.given[key]}").finding)
        place = self._place(event)
        frame.given[key] = place[0]
        if not frame.merges:
            frame.node.keys[key] = place

    def _add(self, node: DocumentNode, event: Any) -> None:
        """Puts a finished value where it belongs, and counts it with all that it holds."""
        self._values += node.size if isinstance(event, yaml.AliasEvent) else 1
        if self._values > MOST_VALUES:
            raise self._at(event, "SEW003", f"a document holds more than {MOST_VALUES:,} values", "split it")
        if len(self._frames) + node.height > DEEPEST + 1:
            raise self._too_deep(event)
        if not self._frames:
            self._done.append(node)
            return
        frame = self._frames[-1]
        frame.node.size += node.size
        frame.node.height = max(frame.node.height, node.height + 1)
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif frame.key is not None:
            frame.node.value |= self._merged(node, event) if frame.merges else {frame.key: node}
            frame.key = None

    def _merged(self, node: DocumentNode, event: Any) -> dict[str, DocumentNode]:
        """Return the keys that `<<` adds: of several maps the first counts most. As in kubectl the last `<<` counts."""
        maps = node.value if isinstance(node.value, list) else [node]
        if not all(isinstance(source.value, dict) for source in maps):
            raise self._at(
                event, "SEW001", "`<<` merges a map, or a list of maps", "put the key in quotes if it is one"
            )
        return {key: value for source in reversed(maps) for key, value in source.value.items()}

    def _too_deep(self, event: Any) -> RefusedDocument:
        return self._at(event, "SEW003", f"values are nested more than {DEEPEST} deep", "no manifest needs that")

    def _expects_key(self) -> bool:
        return bool(self._frames) and isinstance(self._frames[-1].node.value, dict) and self._frames[-1].key is None

    def _aliased(self, event: Any) -> DocumentNode:
        if self._expects_key():
            raise self._at(event, "SEW001", "an alias is used as a key", "write the key out")
        if (node := self._anchors.get(event.anchor)) is None:
            raise self._at(event, "SEW001", f"the alias `*{shown(event.anchor)}` refers to nothing before it", "")
        return node

    def _check_tag(self, event: Any) -> None:
        if event.tag not in (None, "!") and event.tag not in _TAGS:
            message = f"the tag `{shown(event.tag)}` means nothing to Kubernetes"
            raise self._at(event, "SEW001", message, "leave it out")

    def _tagged_query(self, event: Any) -> list[Finding]:
        """YAML takes a `!` before a query for a tag and drops it, and kubectl does too: the opposite is selected."""
        key = self._frames[-1].key if self._frames else None
        if event.tag is None or key not in _QUERIES:
            return []
        tag = "!!" + _TAGS[event.tag] if event.tag in _TAGS else event.tag
        hint = "leave it out" if tag.startswith("!!") else _how_to_negate(key, tag.lstrip("!"), event.value.strip())
        message = f"YAML reads `{shown(tag)}` before the {key} as a tag, and drops it"
        return [self._at(event, "SEW001", message, hint).finding]

    def _unreadable(self, cause: yaml.MarkedYAMLError) -> RefusedDocument:
        mark = cause.problem_mark or cause.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        message = f"not YAML: {cause.problem or cause.context or 'it cannot be read'}"
        return _refuse(
            "SEW001", message[:300], "check indentation, quotes and colons", line + 1 + self._skipped, column + 1
        )

    def _place(self, event: Any) -> tuple[int, int]:
        return event.start_mark.line + 1 + self._skipped, event.start_mark.column + 1

    def _at(self, event: Any, code: str, message: str, hint: str) -> RefusedDocument:
        return _refuse(code, message, hint, *self._place(event))


def _how_to_negate(key: str | None, word: str, value: str) -> str:
    """Return how a query is written that was meant to be negated by a `!`, behind which a `word` may stand."""
    rest = " ".join(filter(None, ("" if word.lower() == "not" else word, value)))
    if rest.isprintable():
        return f"write `{key}: {_quoted(f'NOT {rest}')}`"
    return "write NOT for the `!`, and put the whole query in quotes"  # it has several lines, which no message repeats


def _quoted(text: str) -> str:
    """Return the text as a scalar in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _join_pairs(text: str) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, which YAML refuses. Elsewhere they may be text."""
    if not _JSON_BEGINS.match(text):
        return text
    return _JSON_PAIR.sub(lambda pair: f"\\U{ord(_from_pair(pair[1], pair[2])):08x}", text)


def _from_pair(high: str, low: str) -> str:
    return bytes.fromhex(high + low).decode("utf-16-be")
