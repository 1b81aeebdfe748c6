"""Every golden case of templates in Go's language."""

import pytest

from kubectl_sew.consumers.base import RenderError
from kubectl_sew.consumers.template import check_template, render_body
from tests.cases import go_templates

EVENT, CASES = go_templates()


@pytest.mark.parametrize("case", CASES, ids=[case["template"] for case in CASES])
def test_each_case_is_rendered_as_go_does(case: dict[str, str]) -> None:
    if "body" in case:
        assert check_template(case["template"], html=True) == []
        assert render_body(case["template"], EVENT, as_json=False).decode("utf-8", "backslashreplace") == case["body"]
    elif not check_template(case["template"], html=True):
        with pytest.raises(RenderError, match=r"\(line 1: "):
            render_body(case["template"], EVENT, as_json=False)
