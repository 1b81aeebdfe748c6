"""Findings as text for people."""

from collections.abc import Sequence

from kubectl_sew.cli.output import SHADES, echo, shade
from kubectl_sew.resource.findings import Finding


def print_findings(findings: Sequence[Finding], *, err: bool = False) -> None:
    """Each with its place and code, and below a problem in a query the query with a caret."""
    for finding in findings:
        mark = f"{finding.severity} {finding.code}"
        text = str(finding).replace(mark, shade(mark, SHADES[finding.severity], bold=True), 1)
        echo(f"{text}\n{finding.excerpt}" if finding.excerpt else text, err=err)
