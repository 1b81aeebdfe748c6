"""Templates in Calico's language beside the real Go's html/template. More of them: `make fuzz-template`."""

from random import Random

import pytest

from testbed.servers.go_templates import render_all
from testbed.servers.required import required
from tests.cases import go_templates
from tests.differential.go_templates import differences
from tests.differential.random_templates import event, template

pytestmark = pytest.mark.server


def test_every_golden_case_is_what_go_makes_of_it() -> None:
    document, cases = go_templates()
    with required():
        rendered = render_all([(case["template"], document) for case in cases])
    for case, real in zip(cases, rendered, strict=True):
        body = None if real.error else real.body.decode("utf-8", "backslashreplace")
        assert body == case.get("body"), case["template"]


def test_random_templates_and_events_are_rendered_as_go_does() -> None:
    rng = Random("templates")
    pairs = [(template(rng), event(rng)) for _ in range(3_000)]
    with required():
        assert list(differences(pairs)) == []
