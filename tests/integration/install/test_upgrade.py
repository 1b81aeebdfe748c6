"""What was installed in version 0.1.0 is served by the definition of this version."""

from pathlib import Path

import pytest
import yaml

from kubectl_sew.resource import PLURAL
from tests.integration.install.conftest import Person

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
KIND = f"{PLURAL}.projectcalico.org"
WEBHOOKS = sorted((ROOT / "examples/webhooks").glob("*.yaml"))


def test_webhooks_of_the_first_version_are_kept_and_can_be_written_again(person: Person) -> None:
    person.runs("apply", "-f", str(ROOT / "tests/fixtures/crd-0.1.0.yaml"))
    person.runs("wait", "--for=condition=Established", f"crd/{KIND}")
    for path in WEBHOOKS:
        person.runs("apply", "-f", str(path))
    before = {item["metadata"]["name"]: item["spec"] for item in person.server.get(KIND)["items"]}
    assert len(before) >= len(WEBHOOKS)
    person.installs("--only", "api")
    after = {item["metadata"]["name"]: item for item in person.server.get(KIND)["items"]}
    assert {name: item["spec"] for name, item in after.items()} == before
    for item in after.values():
        person.runs("replace", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(item))
