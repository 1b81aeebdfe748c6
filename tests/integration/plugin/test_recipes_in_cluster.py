"""Webhooks made by recipes, on a real API server: it takes them all, and its Secrets are found and shown nowhere."""

import json

import pytest

from kubectl_sew.recipes.recipe import load_recipe, recipe_names
from kubectl_sew.resource import RECIPE_ANNOTATION, ConfigVar, Reference, State, Webhook, to_object
from testbed.servers.kubernetes import Kubernetes
from tests.integration.plugin.conftest import SECRETS, Sew

pytestmark = pytest.mark.server
KEY = "c4n4ry-of-the-receivers-key"
PLAIN = {"roomId": "Y2lzY29zcGFyazovL3VzL1JPT00", "chatId": "-1001234567890", "alertSource": "01GW2G3V0S59R238"}


def test_the_api_takes_what_every_recipe_makes(server: Kubernetes) -> None:
    webhooks = []
    for name in recipe_names():
        given = [
            ConfigVar(each.name, Reference("Secret", "receiver", each.name) if each.secret else PLAIN[each.name])
            for each in load_recipe(name).variables
            if each.required
        ]
        made = Webhook(
            name, "Generic", State.ENABLED, "type = waf", load_recipe(name).expand(given), {RECIPE_ANNOTATION: name}
        )
        webhooks.append(to_object(made))
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": webhooks})
    taken = server.kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", stdin=listed)
    assert len(taken.splitlines()) == len(recipe_names())


def test_create_by_a_recipe_reads_back_as_it_was_made_and_is_checked_with_its_secret(
    sew: Sew, server: Kubernetes
) -> None:
    server.kubectl("create", "secret", "generic", "pagerduty", "-n", SECRETS, f"--from-literal=key={KEY}")
    try:
        flags = ("--recipe", "pagerduty", "--query", "severity >= 80", "--secret", "routingKey=pagerduty/key")
        created = sew("create", "paged", *flags)
        assert (created.returncode, created.stderr) == (0, "")
        written = server.kubectl("get", "securityeventwebhooks.projectcalico.org", "paged", "-o", "json")
        assert json.loads(written)["metadata"]["annotations"][RECIPE_ANNOTATION] == "pagerduty"
        checked = sew("validate", "--strict", "--against-cluster", "-f", "-", stdin=written)
        assert (checked.returncode, checked.stdout) == (0, "")
        drawn = sew("preview-payload", "-f", "-", stdin=written)
        assert "as PagerDuty shows it:" in drawn.stdout
        assert KEY not in f"{created.stdout}{checked.stdout}{checked.stderr}{drawn.stdout}{drawn.stderr}"
    finally:
        server.kubectl("delete", "securityeventwebhooks.projectcalico.org", "paged", "--ignore-not-found")
        server.kubectl("delete", "secret", "pagerduty", "-n", SECRETS)
