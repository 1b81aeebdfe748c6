"""Table of settings for flags, environment and documentation: accepted values, and errors for others."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from kubectl_sew.consumers.registry import CONSUMERS
from kubectl_sew.pages import page
from sew_agent.base.settings import SETTINGS, Settings, SettingsError, from_environment

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SEW_POLL_INTERVAL", "500ms", 0.5),
        ("SEW_POLL_INTERVAL", "2s", 2.0),
        ("SEW_RETRY_MAX", "15m", 900.0),
        ("SEW_RETRY_HORIZON", "72h", 259200.0),
        ("SEW_RETRY_HORIZON", "1.5d", 129600.0),
        ("SEW_FORGET_AFTER", "0s", 0.0),
        ("SEW_RATE_SLACK", "1/s", 1.0),
        ("SEW_RATE_JIRA", "30/min", 0.5),
        ("SEW_RATE_GENERIC", "36/h", 0.01),
        ("SEW_STORE_MAX", "2GiB", 2**31),
        ("SEW_STORE_MAX", "512MiB", 2**29),
        ("SEW_STORE_MAX", "0.5KiB", 512),
        ("SEW_STORE_MAX", "1000", 1000),
        ("SEW_WORKERS", "1", 1),
        ("SEW_LISTEN", "0.0.0.0:9280", ("0.0.0.0", 9280)),
        ("SEW_LISTEN", "[::1]:0", ("::1", 0)),
        ("SEW_LISTEN", "off", None),
        ("SEW_TIMEOUT", "", None),
        ("SEW_ONCE", "true", True),
        ("SEW_FIELDS", "any", "any"),
        ("SEW_STATE", "/state", Path("/state")),
        ("SEW_SLACK_URL_PREFIXES", "http://a/, http://b/", ("http://a/", "http://b/")),
        ("SEW_INDEX", " a-*, -a-old-* ,b", "a-*,-a-old-*,b"),
        ("SEW_INDEX", "<a-{now/d{yyyy.MM.dd|+12:00}}>", "<a-{now/d{yyyy.MM.dd|+12:00}}>"),
        ("SEW_INDEX", "", "tigera_secure_ee_events.*"),
    ],
)
def test_values_are_read_in_their_units(variable: str, text: str, value: object) -> None:
    settings, warnings = from_environment({variable: text})
    assert getattr(settings, variable.removeprefix("SEW_").lower()) == value
    assert warnings == []


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        *[("SEW_POLL_INTERVAL", text) for text in ("0s", "1", "s", "-1s", "1 s", "1w", "1e3s", "٣s", "9" * 400 + "s")],
        *[("SEW_RETRY_INITIAL", text) for text in ("0ms", "soon")],
        *[("SEW_REQUEST_TIMEOUT", text) for text in ("0s", "ten")],
        *[("SEW_RATE_SLACK", text) for text in ("0/s", "1", "1/d", "-1/s", "1/second")],
        *[("SEW_STORE_MAX", text) for text in ("0", "2GB", "-1", "2 GiB", "much")],
        *[("SEW_WORKERS", text) for text in ("0", "-1", "1.5", "²", "many", "9" * 5000)],
        *[("SEW_LISTEN", text) for text in ("9280", ":", "h:x", "h:70000", "h:²", "on")],
        *[("SEW_EGRESS_ALLOW", text) for text in ("10.0.0.0/33", "host.example", "10.0.0.0/8;::1")],
        *[("SEW_ONCE", text) for text in ("yes", "1")],
        ("SEW_FIELDS", "all"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_expected(variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{variable} .*must be ") as error:
        from_environment({variable: text})
    assert text[:20] in str(error.value)
    assert len(str(error.value)) < 2000
    flag = variable.removeprefix("SEW_").lower()
    with pytest.raises(SettingsError, match=rf"^--{flag.replace('_', '-')} "):
        from_environment({}, {flag: text})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty, which would name every index"),
        (" , ", "is empty, which would name every index"),
        ("-old-*,a-*", "excludes nothing by"),
        ("a,b,-b", "excludes nothing by '-b'"),
        ("a-*, far:a-*", "names a remote cluster"),
    ],
)
def test_a_pattern_that_means_something_else_than_it_says_is_refused(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"^--index .*{why}"):
        from_environment({}, {"index": text})


def test_networks_are_addresses_and_cidrs() -> None:
    settings, _ = from_environment({"SEW_EGRESS_DENY": " 10.1.2.3/8, ::1 ,"})
    assert [str(rule.network) for rule in settings.egress_deny] == ["10.0.0.0/8", "::1/128"]


def test_a_flag_comes_before_the_environment_and_that_before_the_default() -> None:
    environment = {"SEW_WORKERS": "3", "SEW_PAGE_SIZE": "5", "SEW_FORGET_AFTER": ""}
    settings, _ = from_environment(environment, {"workers": "4"})
    assert (settings.workers, settings.page_size, settings.forget_after) == (4, 5, 600.0)


def test_a_pause_that_begins_longer_than_it_may_become_is_refused() -> None:
    with pytest.raises(SettingsError, match="SEW_RETRY_INITIAL is longer than SEW_RETRY_MAX"):
        from_environment({"SEW_RETRY_INITIAL": "1h"})


def test_a_time_limit_is_for_a_run_that_ends() -> None:
    assert from_environment({"SEW_TIMEOUT": "1m", "SEW_ONCE": "true"})[0].timeout == 60.0
    with pytest.raises(SettingsError, match="is for --once"):
        from_environment({"SEW_TIMEOUT": "1m"})


def test_nothing_is_served_with_once_unless_it_is_asked_for() -> None:
    assert from_environment({"SEW_ONCE": "true"})[0].listen is None
    assert from_environment({"SEW_ONCE": "true", "SEW_LISTEN": "127.0.0.1:1"})[0].listen == ("127.0.0.1", 1)
    assert from_environment({"SEW_ONCE": "true"}, {"listen": "127.0.0.1:1"})[0].listen == ("127.0.0.1", 1)


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("SEW_WORKER", "SEW_WORKER is not a setting: did you mean SEW_WORKERS?"),
        ("SEW_RATE_SLAK", "SEW_RATE_SLAK is not a setting: did you mean SEW_RATE_SLACK?"),
        ("SEW_XYZZY", f"SEW_XYZZY is not a setting; see {page('settings')}"),
    ],
)
def test_an_unknown_variable_is_a_warning_with_the_closest_name(name: str, warning: str) -> None:
    assert from_environment({name: "SECRET"})[1] == [warning]


@pytest.mark.parametrize(
    "name",
    [
        "SEW_AGENT_SERVICE_HOST",
        "SEW_AGENT_SERVICE_PORT",
        "SEW_AGENT_SERVICE_PORT_METRICS",
        "SEW_AGENT_PORT",
        "SEW_AGENT_PORT_9280_TCP",
        "SEW_AGENT_PORT_9280_TCP_ADDR",
        "SEWING",
        "PATH",
    ],
)
def test_what_kubernetes_sets_for_a_service_is_no_misspelt_setting(name: str) -> None:
    assert from_environment({name: "x"})[1] == []


def test_a_proxys_password_is_in_no_text() -> None:
    settings, _ = from_environment({"SEW_PROXY": "http://me:SECRET@proxy:3128"})
    assert settings.proxy == "http://me:SECRET@proxy:3128"
    assert "SECRET" not in repr(settings)


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert [parsed.name for parsed in fields(Settings)] == sorted(
        (setting.name for setting in SETTINGS), key=[parsed.name for parsed in fields(Settings)].index
    )
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_every_consumer_has_a_rate() -> None:
    settings, _ = from_environment({"SEW_RATE_SLACK": "7/s"})
    assert settings.rates.keys() == CONSUMERS.keys()
    assert settings.rates["Slack"] == 7.0


@pytest.mark.documentation
def test_the_documentation_names_the_settings_that_there_are() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    rows = re.findall(r"^\| `(SEW_\w+)` \| `(--[a-z-]+)` \| (.*?) \| (.*) \|$", text, re.MULTILINE)
    there = [(s.variable, s.flag, f"`{s.default}`" if s.default else "", s.meaning) for s in SETTINGS]
    assert rows == there
