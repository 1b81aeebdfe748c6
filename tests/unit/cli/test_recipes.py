"""`kubectl sew recipes`, `create --recipe`, and what `validate` and `preview-payload` make of such a webhook."""

import json
from pathlib import Path

import pytest
import yaml

from kubectl_sew.cli.complete import complete
from kubectl_sew.recipes.recipe import recipe_names

DRY = ("--query", "type = waf", "--dry-run=client", "-o", "yaml")
PAGERDUTY = ("create", "on-call", "--recipe", "pagerduty", *DRY)
KEY = "c4n4ry-of-the-key"
HOOK = f"https://discord.com/api/webhooks/1/{KEY}"


def made(sew, *args: str) -> dict:
    ran = sew(*args)
    assert (ran.code, ran.err) == (0, "")
    return yaml.safe_load(ran.out)


def settings(manifest: dict) -> dict:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in manifest["spec"]["config"]}


def test_a_recipe_becomes_a_plain_generic_webhook_with_its_name_in_an_annotation(sew):
    manifest = made(sew, *PAGERDUTY, "--secret", "routingKey=pagerduty/key", "--label", "cluster:prod")
    assert manifest["metadata"]["annotations"] == {
        "kubectl-sew/recipe": "pagerduty",
        "webhooks.projectcalico.org/labels": "cluster:prod",
    }
    assert manifest["spec"]["consumer"] == "Generic"
    held = settings(manifest)
    assert list(held) == ["url", "routingKey", "template", "expect", "limits"]
    assert held["url"] == "https://events.pagerduty.com/v2/enqueue"
    assert held["routingKey"] == {"secretKeyRef": {"name": "pagerduty", "key": "key"}}
    assert all(isinstance(value, str) for name, value in held.items() if name != "routingKey")


def test_a_plain_variable_is_filled_in(sew):
    europe = ("--config", "host=events.eu.pagerduty.com", "--secret", "routingKey=p/k")
    assert settings(made(sew, *PAGERDUTY, *europe))["url"] == "https://events.eu.pagerduty.com/v2/enqueue"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "the recipe pagerduty requires `routingKey`"),
        (("--secret", "routingKey=p/k", "--config", "host=evil.example"), "`host` of the recipe pagerduty must be"),
        (("--secret", "routingKey=p/k", "--config", 'host=x"},{"a":"'), "`host` of the recipe pagerduty must be"),
        (("--secret", "routingKey=p/k", "--secret", "host=p/h"), "give it with --config"),
        (("--secret", "routingkey=p/k"), "has no variable `routingkey`"),
        (("--secret", "routingKey=p/k", "--consumer", "Slack"), "--recipe makes a webhook of the consumer Generic"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(given, said, sew):
    ran = sew(*PAGERDUTY, *given)
    assert (ran.code in (1, 2), ran.out) == (True, "")
    assert said in ran.err
    assert "evil" not in ran.err


def test_a_secret_that_is_typed_is_not_repeated_and_warned_of(sew):
    ran = sew(*PAGERDUTY, "--config", f"routingKey={KEY}")
    assert ran.code == 0
    assert "all who may read webhooks can read it here" in ran.err
    assert KEY not in ran.err


def test_a_url_of_another_receiver_is_refused_without_being_repeated(sew):
    ran = sew("create", "d", "--recipe", "discord", *DRY, "--config", f"url=https://evil.example/{KEY}")
    assert (ran.code, KEY in ran.err + ran.out) == (1, False)


def test_an_unknown_recipe_is_a_usage_error_that_names_the_one_that_was_meant(sew):
    ran = sew("create", "d", "--recipe", "pagrduty", *DRY)
    assert (ran.code, "did you mean pagerduty?" in ran.err) == (2, True)


def test_the_list_names_every_recipe(sew):
    listed = [line.split()[0] for line in sew("recipes").out.splitlines()[1:]]
    assert listed == list(recipe_names())
    assert [each["name"] for each in json.loads(sew("recipes", "list", "-o", "json").out)] == listed


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_shown_with_the_command_that_makes_it(name, sew):
    ran = sew("recipes", "show", name)
    assert ran.code == 0
    assert f"kubectl sew create NAME --recipe {name}" in ran.out


def test_names_of_recipes_are_completed():
    assert complete(["recipes", "show", "pa"]).startswith("pagerduty\n")
    assert complete(["create", "--recipe", "mi"]).startswith("microsoft-teams\n")


def manifest_of(sew, tmp_path: Path, **changes: str | None) -> Path:
    """The manifest of a webhook for Discord, with some of its variables changed or, by None, left out."""
    manifest = made(sew, "create", "d", "--recipe", "discord", *DRY, "--config", f"url={HOOK}")
    config = [each for each in manifest["spec"]["config"] if each["name"] not in changes]
    config += [{"name": name, "value": value} for name, value in changes.items() if value is not None]
    manifest["spec"]["config"] = config
    path = tmp_path / "d.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def test_a_webhook_as_the_recipe_made_it_has_no_finding(sew, tmp_path):
    assert sew("validate", "--strict", "-f", str(manifest_of(sew, tmp_path))).code == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limits": "$.embeds[0].title: 256"}, "Discord takes no more than `$.embeds[0].description: 3000`"),
        ({"limits": None}, "Discord takes no more than `$.embeds[0].title: 256`"),
        ({"expect": None}, "Discord has taken an event where it answers 204; or 200"),
        ({"rate": "5/s"}, "Discord takes 30/min at most"),
        ({"rate": None}, "Discord takes 30/min at most"),
        ({"url": f"https://evil.example/{KEY}"}, "this is no URL of Discord"),
        ({"template": '{"content": "{{ description }}"}'}, "the body has no `$.embeds[0].title`"),
        ({"template": '{"allowed_mentions": 1, "embeds": [{"title": ""}]}'}, "the body has no `$.embeds[0].title`"),
    ],
)
def test_what_the_receiver_would_refuse_is_a_warning(changes, said, sew, tmp_path):
    ran = sew("validate", "--strict", "-f", str(manifest_of(sew, tmp_path, **changes)))
    assert (ran.code, said in ran.out) == (3, True)
    assert KEY not in ran.out + ran.err


def test_a_body_beyond_the_receivers_limits_is_a_warning(sew, tmp_path):
    template = '{"allowed_mentions": 1, "embeds": [{"title": "' + "x" * 300 + '"}]}'
    path = manifest_of(sew, tmp_path, limits=None, template=template)
    ran = sew("validate", "-f", str(path))
    assert "the body exceeds the limit of Discord: $.embeds[0].title: 256" in ran.out


def test_a_template_that_takes_long_is_not_tried_once_more_for_the_receiver(sew, tmp_path):
    long = "{{range 999999}}{{range 9}}{{end}}{{end}}"
    ran = sew("validate", "-f", str(manifest_of(sew, tmp_path, template=long)))
    assert "takes long to render" in ran.out
    assert "the body has no" not in ran.out


def test_an_annotation_of_no_recipe_and_one_at_another_consumer_are_warnings(sew, tmp_path):
    text = manifest_of(sew, tmp_path).read_text()
    ran = sew("validate", "-f", "-", stdin=text.replace("recipe: discord", "recipe: discrod"))
    assert "there is no recipe `discrod` (did you mean `discord`?)" in ran.out
    ran = sew("validate", "-f", "-", stdin=text.replace("kubectl-sew/recipe:", "kubectl-sew/recipes:"))
    assert "did you mean `kubectl-sew/recipe`?" in ran.out
    url = "url=https://hooks.slack.com/services/T/B/X"
    slack = sew("create", "s", "--consumer", "Slack", *DRY, "--config", url).out
    slack = slack.replace("  name: s\n", "  name: s\n  annotations: {kubectl-sew/recipe: discord}\n")
    assert "recipes are for Generic, and this is Slack" in sew("validate", "-f", "-", stdin=slack).out


def test_a_preview_draws_the_message(sew, tmp_path):
    ran = sew("preview-payload", "-f", str(manifest_of(sew, tmp_path)))
    assert ran.code == 0
    assert "\nas Discord shows it:\n  ▌ waf: WAF Event\n" in ran.out
    assert KEY not in ran.out + ran.err


def test_a_preview_draws_hostile_text_on_lines_of_its_own_without_steering_the_terminal(sew, tmp_path):
    event = tmp_path / "e.json"
    event.write_text(
        json.dumps({"id": "e", "type": "waf", "name": "\x1b[31m\u202e" + "x" * 5_000, "description": "\x9b"})
    )
    drawn = sew("preview-payload", "-f", str(manifest_of(sew, tmp_path)), "--event", str(event)).out.partition(
        "shows it:"
    )[2]
    assert drawn.replace("\n", "").isprintable()
    assert max(map(len, drawn.splitlines())) < 400


def test_nothing_is_drawn_of_a_template_in_a_secret(sew, tmp_path):
    manifest = yaml.safe_load(manifest_of(sew, tmp_path).read_text())
    (template,) = [each for each in manifest["spec"]["config"] if each["name"] == "template"]
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "t"}}
    secret["stringData"] = {"t": template.pop("value").replace("{% if type", f"{KEY} {{% if type")}
    template["valueFrom"] = {"secretKeyRef": {"name": "t", "key": "t"}}
    ran = sew("preview-payload", "-f", "-", stdin=yaml.safe_dump_all([manifest, secret]))
    assert (ran.code, "shows it" in ran.out, KEY in ran.out + ran.err) == (0, False, False)
