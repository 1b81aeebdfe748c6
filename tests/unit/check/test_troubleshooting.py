"""docs/troubleshooting.md has a section for whatever `check`, the conditions and the alerts can say, and no other."""

import re
from pathlib import Path

import pytest
import yaml

from kubectl_sew.check.checks import GROUPS
from kubectl_sew.pages import page
from kubectl_sew.resource import DeliveringReason, FetchedReason, HealthyReason

pytestmark = pytest.mark.documentation

CODES = [check.code for checks in GROUPS.values() for check in checks]
REASONS = [reason.value for reasons in (HealthyReason, FetchedReason, DeliveringReason) for reason in reasons]
RULES = yaml.safe_load(Path("manifests/monitoring/prometheusrule.yaml").read_text())["spec"]["groups"][0]["rules"]
ALERTS = [rule["alert"] for rule in RULES]


def test_each_code_reason_and_alert_has_its_section() -> None:
    headings = re.findall(r"^### (.+)$", Path("docs/troubleshooting.md").read_text(), re.MULTILINE)
    assert headings == list(dict.fromkeys(CODES + REASONS + ALERTS))


def test_codes_are_anchors_and_stand_once() -> None:
    assert len(CODES) == len(set(CODES))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in CODES)


def test_an_alert_leads_to_its_section() -> None:
    links = [rule["annotations"]["runbook_url"] for rule in RULES]
    assert links == [page("troubleshooting", name.lower()) for name in ALERTS]


def test_the_table_of_alerts_names_them_with_their_severity() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", Path("docs/monitoring.md").read_text(), re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]
