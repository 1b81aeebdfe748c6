"""`kubectl sew validate`: what it reads, what it prints, how it exits. What it finds is proved with the validation."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from kubectl_sew.resource.documents import LARGEST_FILE
from sew_agent.webhooks.files import FileWebhooks
from testbed.raw_server import Connection, RawServer
from testbed.receivers import Answer, Incoming, Receiver

GOOD = Path("examples/webhooks/jira.yaml").read_text("utf-8")
BAD = GOOD.replace("consumer: Jira", "consumer: Jiro").replace("type=waf", "tpye = waf")
WARNING = GOOD.replace("name: project", "name: projekt\n      value: x\n    - name: project")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text(BAD)
    (tmp_path / "below" / "bad.yml").write_text(BAD.partition("---")[0].replace("jira-webhook", "other"))
    return tmp_path


def test_manifests_without_findings_exit_with_0_and_print_nothing(sew):
    ran = sew("validate", "-f", "examples/webhooks", "--strict")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "4 webhooks checked: 0 errors, 0 warnings\n"


def test_errors_exit_with_1_and_stand_on_stdout_with_file_line_and_column(sew):
    ran = sew("validate", "-f", "-", stdin=BAD)
    assert ran.code == 1
    assert ran.out.splitlines() == [
        (
            "stdin:9:13: error SEW020: jira-webhook: the consumer must be Slack, Jira, Generic or AlertManager, but is"
            " `Jiro` (did you mean `Jira`?)"
        ),
        "stdin:11:10: error SEW031: jira-webhook: query: there is no field `tpye` (did you mean `type`?)",
        "  tpye = waf",
        "  ^^^^",
    ]


def test_warnings_alone_exit_with_0_and_with_3_where_it_is_strict(sew):
    assert sew("validate", "-f", "-", stdin=WARNING).code == 0
    ran = sew("validate", "-f", "-", "--strict", stdin=WARNING)
    assert ran.code == 3
    assert "warning SEW022" in ran.out


def test_errors_beside_warnings_exit_with_1_also_where_it_is_strict(sew):
    assert sew("validate", "-f", "-", "--strict", stdin=f"{WARNING}\n---\n{BAD}").code == 1


def test_a_folder_is_read_without_those_in_it_unless_recursively(folder, sew):
    assert sew("validate", "-f", str(folder)).err.startswith("1 webhook checked")
    ran = sew("validate", "-R", "-f", str(folder))
    assert ran.code == 1
    assert ran.out.startswith(f"{folder}/below/bad.yml:9:13: error SEW020: other:")


def test_several_files_are_judged_together_and_each_once(folder, sew):
    good, bad = str(folder / "good.yaml"), str(folder / "below" / "bad.yml")
    assert sew("validate", "-f", f"{good},{bad}", "-f", good).err.startswith("2 webhooks checked: 2 errors")


def test_a_folder_without_manifests_is_an_error(tmp_path, sew):
    ran = sew("validate", "-f", str(tmp_path))
    assert ran.code == 1
    assert ran.out.startswith(f"{tmp_path}: error SEW051: the folder holds no manifest")
    assert "-R" in ran.out


def test_a_file_that_is_not_there_is_an_error(sew):
    ran = sew("validate", "-f", "none.yaml")
    assert (ran.code, ran.out) == (1, "none.yaml: error SEW051: it cannot be read: No such file or directory\n")


def test_json_holds_every_finding_with_its_place(sew):
    ran = sew("validate", "-f", "-", "-o", "json", stdin=BAD)
    report = json.loads(ran.out)
    assert (ran.code, ran.err) == (1, "")
    assert (report["webhooks"], report["errors"], report["warnings"]) == (1, 2, 0)
    first = report["findings"][0]
    assert (first["code"], first["file"], first["line"], first["column"]) == ("SEW020", "stdin", 9, 13)
    assert report["findings"][1]["excerpt"] == "  tpye = waf\n  ^^^^"


def test_junit_has_a_case_for_each_webhook_and_a_failure_for_each_error(folder, sew):
    ran = sew("validate", "-R", "-f", str(folder), "-o", "junit")
    suites = ET.fromstring(ran.out)
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    assert [failure.get("type") for failure in cases["other"].iter("failure")] == ["SEW020", "SEW031"]
    assert list(cases["jira-webhook"]) == []


@pytest.mark.parametrize(("strict", "tag"), [((), "system-out"), (("--strict",), "failure")])
def test_junit_calls_a_warning_a_failure_only_where_it_is_strict(strict, tag, sew):
    ran = sew("validate", "-f", "-", "-o", "junit", *strict, stdin=WARNING)
    (case,) = ET.fromstring(ran.out).iter("testcase")
    assert [element.tag for element in case] == [tag]


def test_junit_can_be_read_whatever_a_file_holds(sew):
    ran = sew("validate", "-f", "-", "-o", "junit", stdin='kind: SecurityEventWebhook\n"\\x01<&\\u2028": ]]>\n')
    assert ET.fromstring(ran.out).get("failures") == "1"


@pytest.mark.parametrize("junk", ["", "{" * 100_000, "x: &a [*a]", "\x00", "- " * 5_000_000], ids=lambda junk: junk[:9])
def test_junk_is_reported_without_a_traceback(junk, sew):
    ran = sew("validate", "-f", "-", stdin=junk)
    assert ran.code in (0, 1)
    assert ran.out.startswith(("stdin", "error SEW017"))
    assert len(ran.out) < 2_000


@pytest.fixture
def site() -> Iterator[Receiver]:
    def answer(incoming: Incoming) -> Answer:
        if incoming.headers.get("authorization") == "Basic bWU6czNjcmV0":
            return Answer(200, BAD.encode())
        return Answer(200, GOOD.encode()) if incoming.path == "/good.yaml" else Answer(404)

    receiver = Receiver(answer)
    yield receiver
    receiver.close()


def test_a_url_is_read(site, sew):
    assert sew("validate", "-f", f"{site.url}/good.yaml").err == "1 webhook checked: 0 errors, 0 warnings\n"


def test_a_url_that_is_not_there_is_an_error_with_the_servers_answer(site, sew):
    ran = sew("validate", "-f", f"{site.url}/none.yaml")
    assert (ran.code, ran.out) == (
        1,
        f"{site.url}/none.yaml: error SEW051: it cannot be read: the server answered 404 Not Found\n",
    )


def test_a_credential_in_a_url_is_used_and_not_shown(site, sew):
    ran = sew("validate", "-f", site.url.replace("://", "://me:s3cret@") + "/x.yaml?token=s3cret")
    assert ran.code == 1
    assert ran.out.startswith(f"{site.url}/x.yaml:9:13: error SEW020")
    assert "s3cret" not in ran.out + ran.err


@pytest.mark.parametrize(
    "url", ["http://[::1/", "http://127.0.0.1:x/", "http://", "http://127.0.0.1:9/", "http://a b/"]
)
def test_a_url_that_cannot_be_asked_is_an_error_without_a_traceback(url, sew):
    ran = sew("validate", "-f", url)
    assert ran.code == 1
    assert ran.out.startswith(f"{url}: error SEW051: it cannot be read: ")


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "framed",
    [
        CHUNKED + b"-1\r\n%b",
        CHUNKED + b"x\r\n%b",
        CHUNKED + b"400\r\n%b",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n%b",
    ],
    ids=["negative size", "no size", "cut chunk", "cut"],
)
def test_a_broken_answer_is_no_manifest(framed, sew):
    def script(connection: Connection) -> bool:
        connection.send(framed % GOOD.encode())
        return False

    with RawServer(script) as server:
        ran = sew("validate", "-f", f"http://127.0.0.1:{server.port}/good.yaml")
    assert ran.code == 1
    assert ran.out.endswith("error SEW051: it cannot be read: the answer is not whole\n")


@pytest.mark.parametrize("head", [CHUNKED + b"-1\r\n", CHUNKED + b"7fffffff\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_no_more_is_read_of_an_answer_than_the_largest_file_whatever_its_frame_says(head, sew):
    sent = []

    def script(connection: Connection) -> bool:
        connection.send(head)
        for _ in range(64):
            connection.send(b"#" * 2**20)
            sent.append(2**20)
        return False

    with RawServer(script) as server:
        ran = sew("validate", "-f", f"http://127.0.0.1:{server.port}/")
    assert ran.code == 1
    assert "at most 8,388,608 are read" in ran.out
    assert sum(sent) < 4 * LARGEST_FILE


@pytest.mark.parametrize("files", ["", ","])
def test_an_empty_name_of_a_file_is_an_error(files, sew):
    ran = sew("validate", "-f", files)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: -f names no file where it is empty: is a variable unset?\n")


def test_a_file_that_cannot_be_read_does_not_hide_what_is_wrong_with_the_others(folder, sew):
    ran = sew("validate", "-o", "json", "-f", f"{folder}/none.yaml", "-f", f"{folder}/below/bad.yml")
    findings = [(finding["code"], finding["file"]) for finding in json.loads(ran.out)["findings"]]
    assert findings[0] == ("SEW051", f"{folder}/none.yaml")
    assert ("SEW020", f"{folder}/below/bad.yml") in findings
    assert ran.code == 1


def test_a_folder_is_read_as_the_agent_reads_it(tmp_path, sew):
    """Make a folder as Kubernetes mounts a ConfigMap: hidden folders, and links into them."""
    mounted = tmp_path / "mounted"
    (mounted / "..2026").mkdir(parents=True)
    (mounted / "..2026" / "hook.yaml").write_text(GOOD)
    (mounted / "..data").symlink_to("..2026")
    (mounted / "hook.yaml").symlink_to("..data/hook.yaml")
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "linked").symlink_to(mounted)
    (mounted / "round").symlink_to(folder)
    ran = sew("validate", "-R", "-f", str(folder), "-o", "json")
    assert json.loads(ran.out) == {"webhooks": 1, "exceptions": 0, "errors": 0, "warnings": 0, "findings": []}
    agent = FileWebhooks(folder, secrets_namespace="x", clock=lambda: 0.0).snapshot()
    assert len(agent.webhooks) == 1


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, sew, monkeypatch):
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def scan(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scan)
    ran = sew("validate", "-R", "-f", str(tmp_path))
    assert ran.code == 1
    assert f"{tmp_path}/locked: error SEW051: it cannot be read: Permission denied" in ran.out
    assert f"{tmp_path}/bad.yaml:9:13: error SEW020" in ran.out


def test_empty_input_is_an_error_since_nothing_was_checked(sew):
    ran = sew("validate", "-f", "-", stdin="")
    assert ran.code == 1
    assert "error SEW017" in ran.out


def test_files_may_stand_without_a_flag_beside_those_that_have_one(folder, sew):
    good, bad = str(folder / "good.yaml"), str(folder / "below" / "bad.yml")
    assert sew("validate", good).err == "1 webhook checked: 0 errors, 0 warnings\n"
    assert sew("validate", bad, "-f", good, good).err.startswith("2 webhooks checked: 2 errors")


def test_without_any_file_it_is_a_usage_error(sew):
    ran = sew("validate")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: a file is missing: give -f FILE\nSee 'kubectl sew validate --help' for usage.\n"


def test_an_unknown_consumer_and_missing_variables_are_both_found(sew):
    ran = sew("validate", "-", stdin=BAD.partition("  config:")[0])
    assert "SEW008: jira-webhook: `spec.config` is missing" in ran.out
    assert "SEW020: jira-webhook: the consumer must be Slack, Jira, Generic or AlertManager, but is `Jiro`" in ran.out


def test_of_a_patch_the_result_is_to_be_checked(sew):
    head = "apiVersion: projectcalico.org/v3\nkind: SecurityEventWebhook\nmetadata: {name: a}\n"
    for patch in (head, f"{head}spec: {{state: Debug}}\n"):
        assert sew("validate", "-", stdin=patch).out.count("kubectl kustomize FOLDER | kubectl sew validate -f -") == 1
    whole = f"{head}spec: {{state: Debug, consumer: Slack, config: []}}\n"
    assert "kustomize" not in sew("validate", "-", stdin=whole).out


@pytest.mark.parametrize("query", ["type: waf", "dns.qname: x"])
def test_a_query_with_a_colon_comes_with_the_comparator(query, sew):
    ran = sew("validate", "-", stdin=GOOD.replace("type=waf", query))
    assert "a query compares with `=`, not `:`, e.g. `query: type = waf`" in ran.out


@pytest.mark.parametrize("query", ['"dns.qname" IN {"a*"}', "'dns.qname' = x", '"a b"= c'])
def test_a_query_of_which_only_the_beginning_is_quoted_comes_with_how_to_write_it(query, sew):
    ran = sew("validate", "-", stdin=GOOD.replace("type=waf", query))
    assert "put the whole query in single quotes" in ran.out
