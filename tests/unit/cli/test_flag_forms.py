"""Flags are taken in every form in which kubectl takes its own."""

import click
import pytest

from kubectl_sew.cli.connection import connection
from kubectl_sew.cli.flag_forms import in_clicks_form
from kubectl_sew.cli.group import ENTRIES
from kubectl_sew.cli.program import PLUGIN

WEBHOOK = """
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {name: hook}
spec: {consumer: Generic, state: Enabled, query: type = waf, config: [{name: url, value: "https://a.example/x"}]}
"""


@pytest.mark.parametrize("form", [["-o", "json"], ["-ojson"], ["-o=json"], ["--output", "json"], ["--output=json"]])
def test_a_flag_with_a_value_is_taken_in_each_of_kubectls_forms(form, sew):
    assert sew("preview-query", "type = waf", *form).out.startswith("{")


@pytest.mark.parametrize("form", [["-f", "-"], ["-f-"], ["-f=-"], ["--filename=-"], ["-Rf", "-"], ["-Rf-"], ["-Rf=-"]])
def test_a_file_is_named_in_each_of_kubectls_forms(form, sew):
    assert "1 webhook checked" in sew("validate", *form, stdin=WEBHOOK).err


@pytest.mark.parametrize(("value", "code"), [("true", 3), ("T", 3), ("1", 3), ("false", 0), ("F", 0), ("0", 0)])
def test_a_switch_takes_true_and_false(value, code, sew):
    doubtful = WEBHOOK.replace("metadata: {name: hook}", "metadata: {name: hook, lables: {}}")
    assert sew("validate", "-f", "-", f"--strict={value}", stdin=doubtful).code == code


def test_a_switch_with_another_value_is_a_usage_error(sew):
    ran = sew("validate", "-f", "-", "--strict=yes", stdin=WEBHOOK)
    assert ran.code == 2
    assert ran.err.startswith("error: --strict must be true or false, but is `yes`\n")


def test_of_two_values_of_a_switch_the_last_counts(sew):
    assert sew("validate", "-f", "-", "--strict", "--strict=false", stdin=WEBHOOK).code == 0


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        (["-v=6", "-n=ns", "-s=https://x"], ("--v=6", "--namespace=ns", "--server=https://x")),
        (["-v6", "-nns", "--insecure-skip-tls-verify=true"], ("--v=6", "--namespace=ns", "--insecure-skip-tls-verify")),
        (["--insecure-skip-tls-verify=false"], ()),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_flags_for_kubectl_are_taken_in_its_forms_before_and_after_the_command(given, handed_on, before):
    args = [*given, "fields"] if before else ["fields", *given]
    with PLUGIN.make_context("kubectl sew", args) as context:
        PLUGIN.invoke(context)
        assert connection(context).flags == handed_on


def test_the_namespace_of_an_installation_has_no_equals_sign(sew):
    assert "namespace: monitoring\n" in sew("install", "-n=monitoring", "--elasticsearch=https://e:9200").out


@pytest.mark.parametrize("name", ENTRIES)
def test_every_one_letter_flag_of_every_command_takes_its_value_after_an_equals_sign(name):
    context = click.Context(PLUGIN)
    command = PLUGIN.get_command(context, name)
    assert command is not None
    for option in (option for option in command.get_params(context) if isinstance(option, click.Option)):
        for letter in (flag for flag in option.opts if len(flag) == 2):
            value = "true" if option.is_flag else "x=y"
            long = max(option.opts, key=len)
            expected = [long] if option.is_flag else [f"{long}=x=y"]
            assert in_clicks_form([f"{letter}={value}"], command.get_params(context)) == expected


def test_what_follows_two_dashes_and_what_is_the_value_of_a_flag_is_left_alone():
    params = [click.Option(["-q", "--query"]), click.Option(["-R", "--recursive"], is_flag=True)]
    args = ["--query", "-R=false", "word", "--", "-R=true"]
    assert in_clicks_form(args, params) == ["--query=-R=false", "word", "--", "-R=true"]
