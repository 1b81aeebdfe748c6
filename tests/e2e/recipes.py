"""Webhooks made by recipes, in a folder of manifests, for the tests with a real agent."""

from collections.abc import Mapping

import yaml

from kubectl_sew.recipes.recipe import load_recipe
from kubectl_sew.resource import RECIPE_ANNOTATION, ConfigVar, Reference, State, Webhook, to_object
from tests.e2e.sew_agent import Folder

KEY = "c4n4ry-of-the-receivers-key"


def write_recipe(
    folder: Folder, name: str, *, url: str, secrets: Mapping[str, str], query: str = "severity >= 0", **plain: str
) -> None:
    """Write a webhook by a recipe with its Secret; `url`: where it is sent, in place of the vendor's."""
    given = [ConfigVar("url", url)]
    given += [ConfigVar(variable, Reference("Secret", "receiver", variable)) for variable in secrets]
    given += [ConfigVar(variable, value) for variable, value in plain.items()]
    config = load_recipe(name).expand(given)
    webhook = Webhook(name, "Generic", State.ENABLED, query, config, {RECIPE_ANNOTATION: name})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "receiver"}, "stringData": dict(secrets)}
    documents = yaml.safe_dump_all([to_object(webhook), *([secret] if secrets else [])])
    (folder.webhooks / f"{name}.yaml").write_text(documents)
