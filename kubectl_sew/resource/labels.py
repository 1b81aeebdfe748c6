"""The labels annotation: `key:value` pairs that go into every payload."""

from kubectl_sew.members import members
from kubectl_sew.resource.findings import shown


def parse_labels(annotation: str) -> tuple[dict[str, str], list[str]]:
    """The pairs, and what is wrong with the parts that are none; those are left out.

    Pairs are separated by commas; the value is all after the first colon; blanks around a pair are trimmed, and empty
    parts (a comma at the end) are nothing. A key given twice has its last value, as in Calico.
    """
    labels: dict[str, str] = {}
    problems: list[str] = []
    for part in members(annotation):
        key, colon, value = part.partition(":")
        if not colon or not key.strip():
            problems.append(f"`{shown(part)}` is not a `key:value` pair")
        else:
            labels[key.strip()] = value.strip()
    return labels, problems
