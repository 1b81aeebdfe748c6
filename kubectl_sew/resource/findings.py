"""The findings of validation: stable codes, a place, and what to do about it."""

from dataclasses import dataclass
from typing import Any, Literal

from kubectl_sew.text import cut, printable

Severity = Literal["error", "warning"]

CODES = {
    "SEW001": "The file cannot be read as YAML or JSON",
    "SEW002": "The file is not UTF-8 text, or holds characters that YAML does not allow",
    "SEW003": "The file or a document is too large, nested too deeply, or holds too much",
    "SEW004": "A key is used twice in one map",
    "SEW005": "A document is not an object with `apiVersion` and `kind`",
    "SEW006": "A field has the wrong type",
    "SEW007": "A field is unknown",
    "SEW008": "A required field is missing or empty",
    "SEW009": "The `apiVersion` is not one that serves SecurityEventWebhooks",
    "SEW010": "The name is not one that Kubernetes allows",
    "SEW011": "Two webhooks have the same name",
    "SEW012": "The state is unknown",
    "SEW013": "A variable needs exactly one of `value` and `valueFrom`, and `valueFrom` exactly one reference",
    "SEW014": "A variable is set twice",
    "SEW015": "The labels annotation holds something other than `key:value` pairs",
    "SEW016": "The test event annotation names no sample event",
    "SEW017": "No SecurityEventWebhook was found",
    "SEW018": "The kind is almost, but not quite, SecurityEventWebhook or AlertException",
    "SEW019": "An annotation is misspelt, so nothing reads it",
    "SEW020": "The consumer is unknown",
    "SEW021": "The consumer refuses the configuration: a variable is missing, empty or unusable",
    "SEW022": "The configuration works, but something in it looks wrong",
    "SEW023": "An annotation by which a webhook is taken over from Calico's processor has no effect",
    "SEW030": "The query cannot be read",
    "SEW031": "The query cannot be answered: an unknown key, or a value of the wrong type",
    "SEW032": "The query can be answered, but something in it looks wrong",
    "SEW040": "A Secret or ConfigMap that is referred to does not exist",
    "SEW041": "A Secret or ConfigMap does not hold the key that is referred to",
    "SEW042": "A value in a Secret or ConfigMap is not UTF-8 text",
    "SEW043": "A Secret or ConfigMap cannot be read",
    "SEW044": "Two Secrets, or two ConfigMaps, have the same name",
    "SEW045": "A Secret or ConfigMap, or a key in one, cannot have the name that is referred to",
    "SEW050": "The API server refuses the webhook",
    "SEW051": "A file, folder or URL cannot be read",
    "SEW060": "Two AlertExceptions have the same name",
    "SEW061": "A time of an AlertException cannot be read, or it is never in force",
    "SEW070": "The template writes another body with Calico's processor, or is refused by it",
    "SEW071": "Messages, alerts or labels look otherwise than with Calico's processor",
    "SEW072": "Calico's processor does not know a part of it, or passes over it",
    "SEW073": "Calico's processor decides otherwise what is sent, or by whom",
}
"""Code -> what it stands for, in one line. Codes are never reused: scripts and dashboards name them."""


_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem. `line` and `column` count from 1; 0 where no place is known. The text holds no secret."""

    code: str
    severity: Severity
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    resource: str = ""
    """The webhook's name, "" where it has none or the problem is about the file."""
    excerpt: str = ""
    """The query's line and below it a caret, for problems in a query."""

    @property
    def place(self) -> str:
        """`file:line:column`, as far as known."""
        return (
            ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)]) if self.file else ""
        )

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def __str__(self) -> str:
        head = ": ".join(filter(None, (self.place, f"{self.severity} {self.code}", shown(self.resource))))
        return f"{head}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def error(code: str, message: str, hint: str = "", **more: Any) -> Finding:
    """An error; `more` are the finding's other fields. Texts are made safe for a terminal, and cut."""
    return Finding(code, "error", _clean(message, _LONGEST), _clean(hint, _LONGEST), **more)


def warning(code: str, message: str, hint: str = "", **more: Any) -> Finding:
    """A warning; `more` are the finding's other fields. Texts are made safe for a terminal, and cut."""
    return Finding(code, "warning", _clean(message, _LONGEST), _clean(hint, _LONGEST), **more)


def shown(text: str) -> str:
    """A piece of a manifest inside a message: at most 60 characters."""
    return _clean(text, 60)


def _clean(text: str, limit: int) -> str:
    return printable(cut(text, limit))
