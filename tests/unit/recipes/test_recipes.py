"""Every recipe with every sample event and hostile ones: valid, within limits, and what the receiver documents."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from py_ocsf_models.events.findings.detection_finding import DetectionFinding

from kubectl_sew.consumers.base import Request, Response, Verdict
from kubectl_sew.consumers.body_limits import beyond, limits_in
from kubectl_sew.consumers.classification import classify_response
from kubectl_sew.consumers.generic import Generic
from kubectl_sew.consumers.json_path import parse_path, values_at
from kubectl_sew.event import Event
from kubectl_sew.recipes.findings import drawing, read_body
from kubectl_sew.recipes.recipe import Recipe, RecipeError, load_recipe, read_recipe, recipe_names
from kubectl_sew.redaction import Secret
from kubectl_sew.resource import RECIPE_ANNOTATION, ConfigVar, Reference, State, Webhook, to_object
from kubectl_sew.samples import OTHER_SAMPLES, SAMPLE_TYPES, sample
from tests.unit.recipes.contracts import CONTRACTS

KEY = "s3cret-K3Y-of-the-receiver"
NOW = 1_772_450_000.0
URLS = {
    "microsoft-teams": f"https://prod-1.westeurope.logic.azure.com:443/workflows/w/triggers/manual/paths/invoke?sig={KEY}",
    "google-chat": f"https://chat.googleapis.com/v1/spaces/AAA/messages?key=k&token={KEY}",
    "discord": f"https://discord.com/api/webhooks/123/{KEY}",
    "mattermost": "https://mattermost.example/hooks/abc123",
    "rocket-chat": f"https://chat.example/hooks/1/{KEY}",
    "telegram": f"https://api.telegram.org/bot123:{KEY}/sendMessage",
    "grafana-oncall": f"https://oncall.example/oncall/integrations/v1/formatted_webhook/{KEY}/",
    "servicenow": f"https://user:{KEY}@dev1.service-now.com/api/global/em/jsonv2",
    "splunk": "https://splunk.example:8088/services/collector/event",
    "elasticsearch": "https://elasticsearch.example:9200/calico-events/_bulk",
    "opensearch": f"https://user:{KEY}@opensearch.example:9200/calico-events/_bulk",
    "loki": f"https://user:{KEY}@logs.example/loki/api/v1/push",
    "cloudevents": f"https://broker.example/{KEY}",
    "ocsf": f"https://lake.example/{KEY}",
    "amazon-sns": "https://api.execute-api.eu-west-1.amazonaws.com/prod/events",
}
PLAIN = {
    "roomId": "Y2lzY29zcGFyazovL3VzL1JPT00vYmJjZWIx",
    "chatId": "-1001234567890",
    "alertSource": "01GW2G3V0S59R238",
}
HOSTILE = {
    "quotes": '"\'\\" }}] \\u0000 \\',
    "line breaks": "a\nb\r\nc\rd\u2028e\u2029f\x0bg\x0c",
    "100 KB": "x" * 100_000,
    "100 KB of quotes": '"\\' * 50_000,
    "100 KB of emoji": "😀" * 25_000,
    "C0 and C1": "".join(map(chr, [*range(32), *range(127, 160)])),
    "bidirectional": "\u202eevil\u202c \u2066x\u2069 \u200b\ufeff",
    "lone surrogates": "\ud800 \udfff",
    "templates": "{{ secret.routingKey }} {{.secret.apiKey}} {% if x %} ${chatId} {{json .}}",
    "mentions": "@everyone @channel @here @all <!channel> <users/all> [click](https://evil.example) **b**",
    "markup": "</text><script>alert(1)</script> ```code``` <https://evil.example|x>",
    "blanks": " \t\n ",
    "nothing": "",
}
FIELDS = (*sample("waf"), "source_name", "dest_name")
recipes = pytest.mark.parametrize("name", recipe_names())


def given(recipe: Recipe) -> Iterator[ConfigVar]:
    for variable in recipe.variables:
        if variable.name == "url":
            yield ConfigVar("url", URLS[recipe.name])
        elif variable.secret:
            yield ConfigVar(variable.name, Reference("Secret", "receiver", variable.name))
        elif variable.required:
            yield ConfigVar(variable.name, PLAIN[variable.name])


def config_of(name: str) -> dict[str, str]:
    made = load_recipe(name).expand(list(given(load_recipe(name))))
    return {each.name: each.value if isinstance(each.value, str) else Secret(KEY) for each in made}


def sent(name: str, document: dict[str, Any], event_id: str = "e-1", labels: dict[str, str] | None = None) -> Request:
    (request,) = Generic().render(
        Event("calico_events", event_id, document), labels or {}, config_of(name), now=NOW, delivery_id="d" * 32
    )
    return request


def check(name: str, request: Request) -> Any:
    """Hold a request's body to the recipe and to its receiver's contract, and return it."""
    recipe, document = load_recipe(name), read_body(request.body)
    assert document is not None, "neither JSON nor NDJSON"
    json.dumps(document, allow_nan=False)
    assert beyond(limits_in(recipe.limits), request.body) == []
    for path in recipe.required:
        found = list(values_at(parse_path(path), document))
        assert found, path
        assert all(value not in (None, "") for value in found), path
    jsonschema.Draft202012Validator(CONTRACTS[name]).validate(document)
    return document


def hostile(text: str) -> dict[str, Any]:
    """Return an event with the text in every field; a long one in the two that hold long texts at all."""
    if len(text) > 10_000:
        return sample("waf") | {"name": text[:1_000], "description": text, "record": {"payload": text}}
    return {**dict.fromkeys(FIELDS, text), "mitre_ids": [text] * 3, "mitigations": [text], "record": {text: [text]}}


@recipes
def test_a_recipe_makes_a_webhook_without_findings(name: str) -> None:
    assert Generic().validate(config_of(name)) == []


@recipes
@pytest.mark.parametrize("kind", SAMPLE_TYPES)
def test_every_sample_keeps_the_receivers_contract(name: str, kind: str) -> None:
    check(name, sent(name, sample(kind), sample(kind)["id"], {"cluster": "prod-eu"}))


@recipes
@pytest.mark.parametrize("kind", OTHER_SAMPLES)
def test_events_of_other_tools_keep_the_receivers_contract(name: str, kind: str) -> None:
    check(name, sent(name, sample(kind), "e-1", {"cluster": "prod-eu"}))


@pytest.mark.parametrize("name", ["microsoft-teams", "pagerduty", "telegram", "ocsf"])
def test_events_of_other_tools_say_what_happened(name: str) -> None:
    assert b"Read sensitive file untrusted" in sent(name, sample("falco"), "e-1").body
    assert b"ET HUNTING GENERIC" in sent(name, sample("suricata"), "e-1").body


@recipes
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_every_field_keeps_the_receivers_contract(name: str, text: str) -> None:
    request = sent(name, hostile(HOSTILE[text]), HOSTILE[text] or "e", {"cluster": HOSTILE[text][:1_000]})
    check(name, request)
    assert request.body.count(KEY.encode()) == sent(name, sample("waf")).body.count(KEY.encode())


SHAPES: dict[str, Any] = {
    "lists": [1, [2, [3]]],
    "objects": {"a": {"b": [None, True]}},
    "numbers": 1e308,
    "negative": -5,
    "huge": 10**30,
    "truth": False,
    "null": None,
}


@recipes
@pytest.mark.parametrize("shape", SHAPES)
def test_fields_of_other_shapes_keep_the_receivers_contract(name: str, shape: str) -> None:
    check(name, sent(name, dict.fromkeys(FIELDS, SHAPES[shape])))


@recipes
def test_an_event_without_any_field_keeps_the_receivers_contract(name: str) -> None:
    check(name, sent(name, {}))


@recipes
@pytest.mark.parametrize("time", [1772442845, 1772442845.5, "2026-03-02T10:02:47.5+00:00", "1772442845", 0, -1])
def test_a_time_in_any_form_keeps_the_receivers_contract(name: str, time: object) -> None:
    check(name, sent(name, sample("waf") | {"time": time}))


PEOPLE = {
    "microsoft-teams", "google-chat", "discord", "mattermost", "rocket-chat", "webex", "telegram",
    "pagerduty", "opsgenie", "incident-io", "grafana-oncall", "servicenow", "datadog",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PEOPLE))
def test_what_people_read_has_no_character_that_hides_or_reorders_text(name: str) -> None:
    for text in ("C0 and C1", "bidirectional"):
        document = json.dumps(check(name, sent(name, hostile(HOSTILE[text]), "e-1")), ensure_ascii=False)
        document = re.sub(r"\\\\u[0-9a-f]{4}", "", document)  # of the record, which is JSON in a text
        assert re.search("[\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", document) is None


@pytest.mark.parametrize("name", ["mattermost", "rocket-chat"])
def test_no_text_of_an_event_mentions_anybody(name: str) -> None:
    assert b"@" not in sent(name, hostile(HOSTILE["mentions"]), "@all").body


@pytest.mark.parametrize("name", ["discord", "mattermost", "rocket-chat"])
def test_no_text_of_an_event_is_a_link_with_another_name(name: str) -> None:
    assert b"](" not in sent(name, hostile(HOSTILE["mentions"])).body


def test_google_chat_gets_no_markup_of_an_event() -> None:
    assert b"<" not in sent("google-chat", hostile(HOSTILE["mentions"])).body


def test_discord_mentions_nobody_and_its_embed_stays_within_the_sum_of_6000_characters() -> None:
    made = check("discord", sent("discord", hostile("x" * 100_000)))
    embed = made["embeds"][0]
    texts = [embed["title"], embed["description"], embed["footer"]["text"]]
    texts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
    assert sum(map(len, texts)) <= 6_000
    assert made["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize("kind", SAMPLE_TYPES)
def test_the_cloudevents_library_reads_it(kind: str) -> None:
    request = sent("cloudevents", sample(kind), sample(kind)["id"])
    message = HTTPMessage({name.lower(): value for name, value in request.headers}, request.body)
    event = from_http_event(message)
    assert (event.get_id(), event.get_specversion()) == ("d" * 32, "1.0")
    assert event.get_source() == "/calico/security-events"
    assert event.get_data()["description"] == sample(kind)["description"]


@pytest.mark.parametrize("kind", SAMPLE_TYPES)
def test_the_ocsf_models_read_it(kind: str) -> None:
    made = check("ocsf", sent("ocsf", sample(kind), sample(kind)["id"]))
    finding = DetectionFinding.model_validate(made)
    assert (finding.class_uid, finding.type_uid.value, finding.activity_id.name) == (2004, 200401, "Create")
    assert finding.finding_info.uid == sample(kind)["id"]
    assert unknown(made, finding.model_dump(mode="json")) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_the_ocsf_models_read_hostile_events(text: str) -> None:
    DetectionFinding.model_validate(check("ocsf", sent("ocsf", hostile(HOSTILE[text]), HOSTILE[text] or "e")))


def unknown(made: Any, read: Any, at: str = "$") -> list[str]:
    """Return what the models passed over: names that OCSF does not have."""
    if not isinstance(made, dict):
        return []
    missing = [f"{at}.{name}" for name in made if name not in read]
    return missing + [each for name in made if name in read for each in unknown(made[name], read[name], f"{at}.{name}")]


@pytest.mark.parametrize("name", ["elasticsearch", "opensearch"])
def test_a_bulk_request_is_two_lines_of_which_the_first_has_the_id(name: str) -> None:
    request = sent(name, hostile(HOSTILE["line breaks"]))
    assert request.body.count(b"\n") == 2
    assert request.body.endswith(b"\n")
    action, document = map(json.loads, request.body.splitlines())
    assert action == {"create": {"_id": "d" * 32}}
    assert set(document) == {"@timestamp", "ecs", "message", "event", "rule", "labels"}


def test_opensearch_gets_what_elasticsearch_gets() -> None:
    """A real Elasticsearch reads that in tests/integration/test_recipes_elasticsearch.py."""
    assert load_recipe("opensearch").template == load_recipe("elasticsearch").template
    assert load_recipe("opensearch").expect == load_recipe("elasticsearch").expect


IDENTITIES = {
    "pagerduty": "$.dedup_key",
    "opsgenie": "$.alias",
    "incident-io": "$.deduplication_key",
    "grafana-oncall": "$.alert_uid",
    "servicenow": "$.records[0].message_key",
    "splunk": "$.fields.delivery_id",
    "elasticsearch": "$[0].create._id",
    "opensearch": "$[0].create._id",
    "datadog": "$.aggregation_key",
    "cloudevents": "$.id",
    "ocsf": "$.metadata.uid",
    "amazon-sns": "$.delivery_id",
}


@recipes
def test_the_deliverys_id_stands_where_the_receiver_takes_one(name: str) -> None:
    document = check(name, sent(name, sample("waf"), "the-events-id"))
    if name in IDENTITIES:
        assert list(values_at(parse_path(IDENTITIES[name]), document)) == ["d" * 32]
        assert not load_recipe(name).identity.startswith("None: ")
    else:
        assert load_recipe(name).identity.startswith(("None: ", "None, "))
        assert "the-events-id" in json.dumps(document)


ANSWERS: dict[str, tuple[list[tuple[int, str]], list[tuple[int, str]]]] = {
    "microsoft-teams": ([(202, ""), (200, "1")], [(204, "")]),
    "google-chat": ([(200, '{"name": "spaces/A/messages/B"}')], [(202, "")]),
    "discord": ([(204, ""), (200, '{"id": "1"}')], [(202, "")]),
    "mattermost": ([(200, "ok")], [(200, '{"id": "web.incoming_webhook.general.app_error"}'), (200, "<html>login")]),
    "rocket-chat": ([(200, '{"success":true}')], [(200, '{"success":false,"error":"invalid-channel"}')]),
    "webex": ([(200, '{"id": "1"}')], [(204, "")]),
    "telegram": ([(200, '{"ok":true,"result":{}}')], [(200, '{"ok":false,"error_code":400}')]),
    "pagerduty": ([(202, '{"status":"success","dedup_key":"d"}')], [(202, '{"status":"invalid event"}'), (200, "")]),
    "opsgenie": ([(202, '{"result":"Request will be processed"}')], [(200, "")]),
    "incident-io": ([(202, '{"status":"success"}')], [(200, "")]),
    "grafana-oncall": ([(200, "Ok.")], [(204, "")]),
    "servicenow": ([(200, "{}"), (201, "")], []),
    "splunk": ([(200, '{"text":"Success","code":0}')], [(200, '{"text":"Incorrect index","code":7}')]),
    "elasticsearch": (
        [
            (200, '{"errors":false,"items":[{"create":{"status":201}}]}'),
            (200, '{"errors":true,"items":[{"create":{"status":409}}]}'),
        ],
        [(200, '{"errors":true,"items":[{"create":{"status":400}}]}')],
    ),
    "opensearch": (
        [(200, '{"errors":false}'), (200, '{"errors":true,"items":[{"create":{"status":409}}]}')],
        [(200, '{"errors":true,"items":[{"create":{"status":429}}]}')],
    ),
    "loki": ([(204, "")], [(200, "")]),
    "datadog": ([(202, '{"status":"ok"}')], [(200, "")]),
    "cloudevents": ([(200, ""), (202, ""), (204, "")], [(203, "")]),
    "ocsf": ([(200, ""), (202, "")], []),
    "amazon-sns": ([(200, "{}")], [(202, "")]),
}


@recipes
def test_the_documented_answers_are_a_success_and_no_other_is(name: str) -> None:
    good, bad = ANSWERS[name]
    for answers, delivered in ((good, True), (bad, False)):
        for status, body in answers:
            outcome = classify_response(Generic(), Response(status, {}, body.encode()), NOW, config_of(name))
            assert (outcome.verdict is Verdict.DELIVERED) is delivered, body


@recipes
def test_a_recipe_draws_its_message_with_the_events_text(name: str) -> None:
    lines = drawing(load_recipe(name), sent(name, sample("waf")).body)
    assert lines
    assert "WAF" in "\n".join(lines) or name == "cloudevents"
    assert all(
        line.isprintable() for line in drawing(load_recipe(name), sent(name, hostile(HOSTILE["C0 and C1"])).body)
    )


@recipes
def test_a_recipe_says_what_each_variable_is_and_where_the_vendor_documents_it(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.documentation.startswith("https://")
    assert recipe.description.endswith(".")
    assert all(variable.meaning and (variable.secret or variable.form) for variable in recipe.variables)


ODD = ['"', "\\", "a\nb", "{{ x }}", "{% x %}", "\u202e", "a b", "é", "<x>", "${chatId}", "x" * 600, "", "\x00"]


@recipes
@pytest.mark.parametrize("value", ODD)
def test_a_plain_variable_with_odd_characters_is_refused_and_not_repeated(name: str, value: str) -> None:
    recipe = load_recipe(name)
    for variable in recipe.variables:
        if not variable.secret:
            kept = [each for each in given(recipe) if each.name != variable.name]
            with pytest.raises(RecipeError, match=f"`{variable.name}` of the recipe") as refused:
                recipe.expand([*kept, ConfigVar(variable.name, value)])
            assert len(value) < 3 or value not in str(refused.value)


def test_a_plain_variable_by_reference_is_refused_since_it_is_written_into_the_template() -> None:
    recipe = load_recipe("telegram")
    with pytest.raises(RecipeError, match="give it with --config"):
        recipe.expand([ConfigVar("url", URLS["telegram"]), ConfigVar("chatId", Reference("Secret", "s", "k"))])


def test_all_that_is_wrong_is_said_at_once_and_no_value_is_repeated() -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe("telegram").expand(
            [ConfigVar("url", f"https://evil.example/{KEY}"), ConfigVar("chat_id", KEY), ConfigVar("chat_id", KEY)]
        )
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    assert KEY not in str(refused.value)
    assert "`chatId`" in lines[0]


def test_an_optional_header_is_left_out_unless_its_variable_is_given() -> None:
    url = ConfigVar("url", URLS["loki"])
    assert "headers" not in {each.name for each in load_recipe("loki").expand([url])}
    (headers,) = [
        each.value for each in load_recipe("loki").expand([url, ConfigVar("tenant", "a")]) if each.name == "headers"
    ]
    assert headers == "X-Scope-OrgID: a"


def test_generics_own_variables_go_before_the_recipes() -> None:
    made = load_recipe("discord").expand([ConfigVar("url", URLS["discord"]), ConfigVar("rate", "1/min")])
    assert [each.value for each in made if each.name == "rate"] == ["1/min"]


GOOD = load_recipe("webex")
WRONG = {
    "an unknown key": "unheard: x\n",
    "no url": "url: ''\n",
    "a wrong rate": "rate: fast\n",
    "a wrong limit": "limits: 'text: 4'\n",
    "a wrong rule": "expect: maybe\n",
    "an unknown place": "headers: 'X: ${nowhere}'\n",
    "a number for a text": "title: 7\n",
    "a plain variable without a form": "variables: [{name: a, meaning: b}]\nurl: https://x/\n",
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_is_no_recipe_is_refused_with_what_is_wrong(what: str) -> None:
    text = (
        "title: t\ndescription: d\ndocumentation: https://d\nidentity: i\nshown: s\ntemplate: '{}'\n"
        "variables: [{name: token, meaning: m, secret: true}]\nurl: https://x/\n"
    )
    assert read_recipe("own", text).name == "own"
    key = WRONG[what].partition(":")[0]
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{key}:"))
    with pytest.raises(RecipeError, match="the recipe own"):
        read_recipe("own", kept + WRONG[what])


def test_there_is_no_recipe_of_another_name() -> None:
    with pytest.raises(KeyError):
        load_recipe("../samples/waf")


@recipes
def test_what_a_recipe_makes_is_what_calicos_api_takes(name: str) -> None:
    """Its variables are texts, or references, as the definition of the resource has them."""
    definition = yaml.safe_load((Path(__file__).parents[3] / "manifests/base/crd.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    config = load_recipe(name).expand(list(given(load_recipe(name))))
    made = to_object(Webhook("hook", "Generic", State.ENABLED, "type = waf", config, {RECIPE_ANNOTATION: name}))
    jsonschema.validate(made, schema)
    limits = {variable.name: variable.limit for variable in Generic.variables}
    for setting in config:
        assert isinstance(setting.value, Reference) or len(setting.value) <= limits[setting.name]


def test_an_optional_secret_is_left_out_of_the_headers_unless_it_is_given() -> None:
    url = ConfigVar("url", URLS["cloudevents"])
    without = {each.name: each.value for each in load_recipe("cloudevents").expand([url])}
    assert without["headers"] == "Content-Type: application/cloudevents+json; charset=UTF-8"
    token = ConfigVar("token", Reference("Secret", "s", "k"))
    headers = [each.value for each in load_recipe("cloudevents").expand([url, token]) if each.name == "headers"]
    assert headers == [f"{without['headers']}\nAuthorization: Bearer {{{{ secret.token }}}}"]


@pytest.mark.parametrize("text", HOSTILE)
def test_servicenow_gets_json_in_its_additional_information(text: str) -> None:
    request = sent("servicenow", hostile(HOSTILE[text]), HOSTILE[text] or "e", {"a": HOSTILE[text][:500]})
    added = json.loads(check("servicenow", request)["records"][0]["additional_info"])
    assert set(added) == {"id", "severity", "labels"}
