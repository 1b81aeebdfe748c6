"""Findings as JUnit's XML, which CI systems show: one test case for each webhook, and for each file with a problem."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from kubectl_sew.resource import Finding
from kubectl_sew.text import printable

Case = tuple[str, str]
"""File, and the webhook's name."""


def junit(webhooks: Sequence[Case], findings: Sequence[Finding], *, strict: bool) -> str:
    """The report. Errors are failures, and warnings are too where it is `strict`."""
    cases: dict[Case, list[Finding]] = {webhook: [] for webhook in webhooks}
    for finding in findings:
        cases.setdefault((finding.file, finding.resource), []).append(finding)
    failed = [case for case, problems in cases.items() if any(_fails(problem, strict) for problem in problems)]
    counts = {"tests": str(len(cases)), "failures": str(len(failed)), "errors": "0"}
    root = Element("testsuites", counts)
    suite = SubElement(root, "testsuite", {"name": "kubectl sew validate", **counts})
    for (file, name), problems in cases.items():
        case = SubElement(suite, "testcase", {"classname": _text(file), "name": _text(name or file or "the input")})
        for problem in problems:
            _add(case, problem, strict)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}'


def _fails(finding: Finding, strict: bool) -> bool:
    return finding.is_error or strict


def _add(case: Element, finding: Finding, strict: bool) -> None:
    text = _text(str(finding)) + (f"\n{finding.excerpt}" if finding.excerpt else "")
    if _fails(finding, strict):
        SubElement(case, "failure", {"type": finding.code, "message": finding.message}).text = text
    else:
        SubElement(case, "system-out").text = text


def _text(value: str) -> str:
    """Replace the characters that XML cannot hold."""
    return printable(value)
