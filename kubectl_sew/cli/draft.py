"""A webhook as flags and answers describe it, and whether it can work."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from kubectl_sew.cli.output import print_warning
from kubectl_sew.cli.validation_options import ValidationRules
from kubectl_sew.errors import SewError
from kubectl_sew.resource import (
    LABELS_ANNOTATION,
    RECIPE_ANNOTATION,
    ConfigVar,
    Finding,
    Reference,
    State,
    Webhook,
    to_object,
)
from kubectl_sew.resource.manifests import load_manifests
from kubectl_sew.validation.manifests import validate_manifests


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a webhook that are known so far; None for the others."""

    name: str | None
    consumer: str | None
    query: str | None
    state: str | None = None
    config: tuple[ConfigVar, ...] = ()
    labels: tuple[str, ...] = ()
    recipe: str = ""
    """Name of the recipe that the variables are from; "" where there is none."""

    @property
    def missing(self) -> list[str]:
        """The parts that a webhook must have, as the command line calls them."""
        needed = {"NAME": self.name, "--consumer": self.consumer, "--query": self.query}
        return [name for name, value in needed.items() if value is None]


def build(draft: Draft) -> Webhook:
    """The webhook of a draft that misses nothing."""
    annotations = {LABELS_ANNOTATION: ",".join(draft.labels)} if draft.labels else {}
    annotations |= {RECIPE_ANNOTATION: draft.recipe} if draft.recipe else {}
    state = State(draft.state or State.ENABLED.value)
    return Webhook(draft.name or "", draft.consumer or "", state, draft.query or "", draft.config, annotations)


def check(webhook: Webhook, rules: ValidationRules) -> None:
    """Raises SewError with every error that `validate` finds; its warnings go to stderr."""
    manifests = load_manifests(json.dumps(to_object(webhook)), "")
    findings = validate_manifests(manifests, rules.fields, consumers=rules.consumers)
    if errors := [finding for finding in findings if finding.is_error]:
        raise SewError(in_words(errors))
    if findings:
        print_warning(in_words(findings))


def in_words(findings: Iterable[Finding]) -> str:
    """Findings about something that has no place: it was never in a file."""
    return "\n".join(
        finding.message
        + (f" ({finding.hint})" if finding.hint else "")
        + (f"\n{finding.excerpt}" if finding.excerpt else "")
        for finding in findings
    )


def read_reference(kind: str, place: str) -> Reference | None:
    """`NAME/KEY` as a reference; None where it is not of that form."""
    name, _, key = place.partition("/")
    return Reference(kind, name, key) if name and key else None


def label_problem(pair: str) -> str:
    """Return the problem with one `key:value` pair; "" if there is none."""
    key, colon, _ = pair.partition(":")
    if not colon or not key.strip():
        return "a label is written KEY:VALUE"
    return "a label cannot hold a comma: commas separate the labels" if "," in pair else ""
