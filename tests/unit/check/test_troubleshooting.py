"""docs/troubleshooting.md has a section for whatever `check` and the conditions can say, and no other."""

import re
from pathlib import Path

import pytest

from kubectl_sew.check.checks import GROUPS
from kubectl_sew.resource import DeliveringReason, FetchedReason, HealthyReason

pytestmark = pytest.mark.documentation

CODES = [check.code for checks in GROUPS.values() for check in checks]
REASONS = [reason.value for reasons in (HealthyReason, FetchedReason, DeliveringReason) for reason in reasons]


def test_each_code_and_each_reason_has_its_section() -> None:
    headings = re.findall(r"^### (.+)$", Path("docs/troubleshooting.md").read_text(), re.MULTILINE)
    assert headings == list(dict.fromkeys(CODES + REASONS))


def test_codes_are_anchors_and_stand_once() -> None:
    assert len(CODES) == len(set(CODES))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in CODES)
