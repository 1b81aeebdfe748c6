"""The definition of the resource: it names what the code names, and takes what the code takes."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from kubectl_sew.consumers.registry import ALIASES, CONSUMERS
from kubectl_sew.query.lexer import MAX_BYTES
from kubectl_sew.resource import (
    API_VERSIONS,
    KIND,
    PLURAL,
    Condition,
    State,
    check_structure,
    load_manifests,
    to_object,
)

ROOT = Path(__file__).parents[3]
CRD = yaml.safe_load((ROOT / "manifests/base/crd.yaml").read_text())
SCHEMA: dict[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]["properties"]
EXAMPLES = sorted((ROOT / "examples/webhooks").glob("*.yaml"))

SAMPLE = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata:
  name: jira-webhook
  annotations:
    webhooks.projectcalico.org/labels: 'Cluster name:Calico Enterprise'
spec:
  consumer: Jira
  state: Enabled
  query: type=waf
  config:
    - name: url
      value: 'https://your-jira-instance-name.atlassian.net/rest/api/2/issue/'
    - name: project
      value: PRJ
    - name: issueType
      value: Bug
    - name: username
      valueFrom:
        secretKeyRef:
          name: jira-secrets
          key: username
    - name: apiToken
      valueFrom:
        secretKeyRef:
          name: jira-secrets
          key: token
"""


def test_enums_name_the_states_and_consumers_of_the_code() -> None:
    assert SPEC["state"]["enum"] == [state.value for state in State]
    assert SPEC["consumer"]["enum"] == [*CONSUMERS, *ALIASES]


def test_group_version_and_names_are_those_of_the_code() -> None:
    spec = CRD["spec"]
    assert f"{spec['group']}/{spec['versions'][0]['name']}" == API_VERSIONS[0]
    assert (spec["names"]["kind"], spec["names"]["plural"], spec["scope"]) == (KIND, PLURAL, "Cluster")
    assert CRD["metadata"]["name"] == f"{PLURAL}.{spec['group']}"
    assert (spec["names"]["shortNames"], spec["names"]["categories"]) == (["sew"], ["calico"])


def test_rules_require_the_variables_that_every_consumer_requires() -> None:
    rules = [rule["rule"] for rule in SCHEMA["properties"]["spec"]["x-kubernetes-validations"]]
    for consumer in CONSUMERS.values():
        needed = {variable.name for variable in consumer.variables if variable.required}
        mine = [rule for rule in rules if "self.consumer" not in rule or f"self.consumer != '{consumer.name}'" in rule]
        ruled = {re.findall(r"v\.name == '(\w+)'", rule)[0] for rule in mine}
        assert ruled == needed


def test_the_variable_that_excuses_another_is_named_in_its_rule() -> None:
    rules = [rule["rule"] for rule in SCHEMA["properties"]["spec"]["x-kubernetes-validations"]]
    excuses = [variable.unless for consumer in CONSUMERS.values() for variable in consumer.variables if variable.unless]
    for name, value in excuses:
        assert any(f"v.name == '{name}'" in rule and f"v.value == '{value}'" in rule for rule in rules)


def test_columns_show_what_a_person_looks_for() -> None:
    columns = CRD["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns] == ["Consumer", "State", "Healthy", "Reason", "Age"]


def test_a_query_may_be_as_long_as_the_language_reads() -> None:
    assert SPEC["query"]["maxLength"] == MAX_BYTES


def test_the_status_is_an_atomic_array_with_the_subresource() -> None:
    status = SCHEMA["properties"]["status"]
    assert (status["type"], status["x-kubernetes-list-type"]) == ("array", "atomic")
    assert CRD["spec"]["versions"][0]["subresources"] == {"status": {}}
    condition = Condition("Healthy", "True", "WebhookValidation", "", 1, "2026-01-02T03:04:05Z")
    jsonschema.validate([condition.to_object()], status)


def test_the_sample_of_calicos_documentation_is_taken() -> None:
    obj = yaml.safe_load(SAMPLE)
    jsonschema.validate(obj, SCHEMA)
    assert check_structure(obj) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_taken_as_the_code_writes_them(path: Path) -> None:
    manifests = load_manifests(path.read_bytes(), path.name)
    assert manifests.webhooks
    for webhook in manifests.good.values():
        jsonschema.validate(to_object(webhook), SCHEMA)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("consumer: Jira", "consumer: Jirra"),
        ("state: Enabled", "state: enabled"),
        ("query: type=waf", "query: ''"),
        ("query: type=waf", "qery: type=waf"),
        ("name: project", "name: ''"),
        ("value: PRJ", "value: 5"),
        ("key: token", "value: token"),
    ],
)
def test_what_the_schema_refuses_the_code_refuses_too(old: str, new: str) -> None:
    obj = yaml.safe_load(SAMPLE.replace(old, new, 1))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(obj, SCHEMA)
    assert check_structure(obj) or obj["spec"]["consumer"] not in CONSUMERS


@pytest.mark.parametrize("kind", ["secretKeyRef", "configMapKeyRef"])
@pytest.mark.parametrize(
    ("part", "text"),
    [("name", text) for text in ("a", "a.b-c", "A", "a..b", "-a", "a;b", "a" * 253, "a" * 254)]
    + [("key", text) for text in ("a", "tls.key", "_A-1", "a b", "a/b", "", "a" * 254)],
)
def test_the_definition_and_the_validation_agree_on_names_and_keys(kind: str, part: str, text: str) -> None:
    reference = {"name": "a", "key": "a", part: text}
    schema = SPEC["config"]["items"]["properties"]["valueFrom"]["properties"][kind]
    obj = yaml.safe_load(SAMPLE)
    obj["spec"]["config"] = [{"name": "url", "valueFrom": {kind: reference}}]
    accepted = jsonschema.Draft202012Validator(schema).is_valid(reference)
    assert accepted == (not check_structure(obj))
