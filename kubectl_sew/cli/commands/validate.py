"""`kubectl sew validate`."""

from collections.abc import Sequence
from typing import Any

import click

from kubectl_sew.cli.cluster_options import kubectl, secrets_namespace_option
from kubectl_sew.cli.files import file_options, read_sources
from kubectl_sew.cli.findings import print_findings
from kubectl_sew.cli.junit import junit
from kubectl_sew.cli.output import echo, print_json
from kubectl_sew.cli.validation_options import ValidationRules, rules_options
from kubectl_sew.cluster.validation import against
from kubectl_sew.pages import page
from kubectl_sew.resource import Finding
from kubectl_sew.resource.manifests import Manifests, load_many
from kubectl_sew.text import plural
from kubectl_sew.validation.manifests import validate_manifests

FINDINGS, ONLY_WARNINGS = 1, 3


@click.command(epilog=f"What each code means:\n{page('validation', 'codes')}")
@file_options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    help="The format of the findings. [default: text]",
)
@click.option("--strict", is_flag=True, help="Exit with 3 if there are only warnings.")
@click.option("--against-cluster", is_flag=True, help="Also look up Secrets in the cluster, and ask its API server.")
@click.option("--calico", is_flag=True, help="Also warn of each difference from Calico's own processor.")
@rules_options
@secrets_namespace_option
@click.pass_context
def validate(  # noqa: PLR0913  # one for each flag
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    recursive: bool,
    output: str,
    strict: bool,
    against_cluster: bool,
    calico: bool,
    rules: ValidationRules,
    secrets_namespace: str,
) -> int:
    """Check manifests: structure, names, labels, variables, queries.

    Every problem is reported at once, with its place and a code. Secrets and ConfigMaps in the files are used; others
    may be in the cluster, and their values are checked with --against-cluster only.

    Queries may use the keys of Calico's events. For other events give what the agent has: --fields any, or its index.
    If the agent has SEW_SLACK_URL_PREFIXES, set the same variable here.

    With --calico, for webhooks that were written for Calico's own processor, a warning says what it does otherwise.

    Exit codes: 0 no errors, 1 errors, 3 only warnings, with --strict.

    \b
    Examples:
      kubectl sew validate webhook.yaml
      kubectl sew validate -f webhooks/ -R --strict
      kubectl kustomize overlay/ | kubectl sew validate -f - -o json
      kubectl sew validate -f webhook.yaml --against-cluster
      kubectl get securityeventwebhooks.p -o yaml | kubectl sew validate -f - --calico
      kubectl sew validate -f falco.yaml --elasticsearch https://elasticsearch:9200 --index 'falco-*'
    """
    sources = read_sources(files, recursive=recursive)
    manifests = load_many(sources.files, secrets_namespace=secrets_namespace)
    if against_cluster:
        findings = against(
            kubectl(ctx), manifests, secrets_namespace, rules.fields, consumers=rules.consumers, calico=calico
        )
    else:
        findings = validate_manifests(manifests, rules.fields, consumers=rules.consumers, calico=calico)
    if sources.problems:
        findings = [*sources.problems, *(finding for finding in findings if finding.code != "SEW017")]
    if output == "json":
        print_json(_as_json(manifests, findings))
    elif output == "junit":
        cases = [(webhook.source, webhook.name) for webhook in manifests.webhooks]
        cases += [(exception.source, exception.name) for exception in manifests.exceptions]
        echo(junit(cases, findings, strict=strict))
    else:
        _print_text(manifests, findings)
    return _exit_code(findings, strict)


def _exit_code(findings: Sequence[Finding], strict: bool) -> int:
    if any(finding.is_error for finding in findings):
        return FINDINGS
    return ONLY_WARNINGS if findings and strict else 0


def _print_text(manifests: Manifests, findings: Sequence[Finding]) -> None:
    print_findings(findings)
    webhooks, exceptions = len(manifests.webhooks), len(manifests.exceptions)
    checked = [_count(webhooks, "webhook")] if webhooks or not exceptions else []
    checked += [_count(exceptions, "exception")] if exceptions else []
    echo(f"{' and '.join(checked)} checked: {_counts(findings)}", err=True)


def _counts(findings: Sequence[Finding]) -> str:
    errors = sum(finding.is_error for finding in findings)
    return f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {plural(number, noun)}"


def _as_json(manifests: Manifests, findings: Sequence[Finding]) -> dict[str, Any]:
    errors = sum(finding.is_error for finding in findings)
    return {
        "webhooks": len(manifests.webhooks),
        "exceptions": len(manifests.exceptions),
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity,
                "file": finding.file,
                "line": finding.line,
                "column": finding.column,
                "webhook": finding.resource,
                "message": finding.message,
                "hint": finding.hint,
                "excerpt": finding.excerpt,
            }
            for finding in findings
        ],
    }
