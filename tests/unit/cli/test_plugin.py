"""All commands share help, usage errors, kubectl's flags and start-up."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import kubectl_sew
from kubectl_sew.cli.cluster_options import _name
from kubectl_sew.cli.connection import connection
from kubectl_sew.cli.group import ENTRIES
from kubectl_sew.cli.program import PLUGIN

PROGRAM = Path(sys.executable).parent / "kubectl-sew"


def test_without_a_command_the_help_is_shown(sew):
    ran = sew()
    assert ran.code == 0
    assert ran.out == sew("--help").out
    assert "Usage: kubectl sew" in ran.out


@pytest.mark.parametrize("name", ENTRIES)
def test_the_list_of_commands_says_what_the_command_itself_says(name, sew):
    ran = sew(name, "--help")
    assert ran.code == 0
    assert f"Usage: kubectl sew {name}" in ran.out
    command = PLUGIN.get_command(click.Context(PLUGIN), name)
    assert command is not None
    assert (command.help or "").partition("\n")[0] == ENTRIES[name].summary


def test_a_wrong_command_is_a_usage_error_that_names_the_one_that_was_meant(sew):
    ran = sew("feilds")
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err == "error: there is no command `feilds`: did you mean `fields`?\nSee 'kubectl sew --help' for usage.\n"
    )


def test_a_wrong_flag_is_a_usage_error_that_names_the_one_that_was_meant(sew):
    ran = sew("fields", "--tyep", "ip")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: no such option")
    assert "--type" in ran.err
    assert ran.err.endswith("See 'kubectl sew fields --help' for usage.\n")


def test_a_flag_without_its_value_is_a_usage_error_of_its_command(sew):
    ran = sew("validate", "-f")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: option '-f' requires an argument\nSee 'kubectl sew validate --help' for usage.\n"


def test_an_error_is_short_and_cannot_steer_a_terminal(sew):
    ran = sew("\x1b[31m" + "x" * 100_000)
    assert ran.code == 2
    assert len(ran.err) < 2_010
    assert ran.err.startswith("error: there is no command `\ufffd[31mxxx")


def test_kubectls_flags_are_taken_before_and_after_the_command():
    before = ["--context", "prod", "--as-group=a", "-n", "here", "--insecure-skip-tls-verify"]
    after = ["version", "--client", "--context=test", "-s", "https://x", "--as-group", "b"]
    with PLUGIN.make_context("kubectl sew", before + after) as context:
        PLUGIN.invoke(context)
        given = connection(context)
    assert given.flags == (
        *("--context=prod", "--as-group=a", "--namespace=here", "--insecure-skip-tls-verify"),
        *("--context=test", "--server=https://x", "--as-group=b"),
    )
    assert given.value("--context") == "test"
    assert given.value("--token") is None


def test_a_token_is_not_shown():
    with PLUGIN.make_context("kubectl sew", ["--token", "s3cret", "version", "--client"]) as context:
        assert "s3cret" not in repr(connection(context))


def test_version_prints_the_version(sew):
    assert sew("version", "--client").out == f"kubectl-sew {kubectl_sew.__version__}\n"
    assert json.loads(sew("version", "--client", "-o", "json").out) == {"client": kubectl_sew.__version__}


def test_fields_of_one_type_are_listed_with_what_they_take(sew):
    lines = sew("fields", "--type", "integer").out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "dest_port", "severity", "source_port"]
    assert lines[2].endswith("0 to 100")


def test_a_reader_that_goes_away_is_no_error():
    process = subprocess.Popen([PROGRAM, "fields"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_without_a_traceback():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([PROGRAM, "fields"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: the output: No space left on device\n"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("fields >&-", 1, "error: standard output is closed\n"),
        ("fields >/dev/null 2>&-", 0, ""),
        ("nonsense 2>&-", 2, ""),
        ("validate -f - <&-", 1, ""),
        ("preview-query 'type = waf' --events - <&-", 1, "error: standard input is closed"),
        ("preview-payload -f examples/webhooks/jira.yaml --event - <&-", 1, "error: standard input is closed"),
        ("backlog x --drop <&-", 2, "error: this cannot be undone: add --yes"),
        ("create <&-", 2, "error: NAME, --consumer, --query must be given"),
    ],
)
def test_a_closed_stream_is_an_error_without_a_traceback(command, code, said):
    shell = subprocess.run(["sh", "-c", f'"$0" {command}', PROGRAM], capture_output=True, text=True, check=False)
    assert shell.returncode == code
    assert said in shell.stderr
    assert "Traceback" not in shell.stderr


def test_output_is_utf_8_whatever_the_locale_is():
    args = [PROGRAM, "create", "a", "--consumer=Generic", "--query=name = 'Zoë'", "--config=url=https://a.example/x"]
    env = {"PATH": "/usr/bin", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run([*args, "--dry-run=client", "-o=yaml"], env=env, capture_output=True, check=True)
    assert "query: name = 'Zoë'" in ran.stdout.decode("utf-8")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("delete", "kubectl delete"), ("deletes", "kubectl delete"), ("get", "sew list"), ("describe", "sew status")],
)
def test_a_command_of_kubectls_is_answered_with_what_there_is(name, hint, sew):
    ran = sew(name, "x")
    assert ran.code == 2
    assert hint in ran.err
    assert "dead-letters" not in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_who_asks_for_a_shells_completion_reads_that_kubectls_is_enough(shell, sew):
    ran = sew("completion", shell)
    assert (ran.code, ran.out) == (2, "")
    assert f"`kubectl completion {shell}`" in ran.err


def test_help_and_the_version_are_found_where_people_look_for_them(sew):
    assert sew("help").out == sew("--help").out
    assert sew("help", "list").out == sew("list", "--help").out
    assert sew("--version").out == sew("version", "--client").out


@pytest.mark.parametrize(
    "given", ["urgent", "sew/urgent", "securityeventwebhook.projectcalico.org/urgent", "securityeventwebhooks/urgent"]
)
def test_a_name_may_have_its_type_before_it_as_it_is_printed(given):
    assert _name(click.Context(PLUGIN), click.Argument(["name"]), given) == "urgent"


@pytest.mark.parametrize("given", ["pod/urgent", "sew/", "a/b/c"])
def test_a_name_of_another_kind_is_a_usage_error(given, sew):
    ran = sew("status", given)
    assert ran.code == 2
    assert "is not the name of a SecurityEventWebhook" in ran.err
