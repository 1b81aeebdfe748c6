"""The agent's settings: one table of flags and environment variables, their units, defaults and meanings."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from kubectl_sew.consumers.rate import parse_rate
from kubectl_sew.elasticsearch.access import ElasticsearchError, index_pattern
from kubectl_sew.errors import SewError
from kubectl_sew.json_text import line
from kubectl_sew.members import alternatives, members
from kubectl_sew.pages import page
from kubectl_sew.query.fields import FIELD_SETS
from kubectl_sew.resource import API_GROUPS, API_VERSIONS
from kubectl_sew.text import parse_duration

Network = IPv4Network | IPv6Network

PREFIX = "SEW_"
_SHOWN = 200
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(B|KiB|MiB|GiB|TiB)?")
_RULE = re.compile(r"(?:\[(?P<ipv6>[^]]+)\]|(?P<network>[^]:[]+))(?::(?P<port>[0-9]{1,5}))?|[^][]+")
_PORT = re.compile(r"[0-9]{1,5}")
_COUNT = re.compile(r"[0-9]{1,9}")
_OF_A_SERVICE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_[0-9]+_\w+)$")
"""Ends of the names that Kubernetes puts into a container's environment for a Service called `sew-…`."""
_BYTES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class SettingsError(SewError):
    """Error of a flag or an environment variable: which, why, and what a right one looks like."""


def parse_pause(text: str) -> float:
    """Return a duration above zero, in seconds."""
    seconds = parse_duration(text)
    if not seconds:
        raise ValueError("must be a duration above zero such as 500ms or 2s")
    return seconds


def parse_size(text: str) -> int:
    """Return a size such as `512MiB` or `2GiB` in bytes."""
    match = _SIZE.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError("must be a size above zero such as 512MiB or 2GiB")
    return int(float(match[1]) * _BYTES[match[2] or ""])


@dataclass(frozen=True, slots=True)
class Rule:
    """Network and port of an egress rule; None for every port."""

    network: Network
    port: int | None = None


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Return egress rules: addresses and CIDRs, separated by commas, each with `:PORT` or not (IPv6 in brackets)."""
    try:
        return tuple(map(_rule, members(text)))
    except ValueError as error:
        raise ValueError(f"must be addresses or CIDRs, each with :PORT if need be ({error})") from None


def _rule(text: str) -> Rule:
    match = _RULE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not one")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    return Rule(ip_network(match["ipv6"] or match["network"] or text, strict=False), port)


def parse_listen(text: str) -> tuple[str, int] | None:
    """Return host and port of `HOST:PORT`; None for `off`."""
    if text == "off":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or not int(port) < 65536:
        raise ValueError("must be HOST:PORT or off")
    return host.strip("[]"), int(port)


def parse_fields(text: str) -> str:
    """Return the name of a field set."""
    if text not in FIELD_SETS:
        raise ValueError(f"must be {alternatives(list(FIELD_SETS))}")
    return text


def parse_count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not _COUNT.fullmatch(text) or not int(text):
        raise ValueError("must be a whole number of at least 1")
    return int(text)


def parse_number(text: str) -> int:
    """Return a whole number."""
    if not _COUNT.fullmatch(text):
        raise ValueError("must be a whole number, 0 or more")
    return int(text)


def parse_index(text: str) -> str:
    """Return a pattern of indices that Elasticsearch accepts."""
    try:
        return index_pattern(text)
    except ElasticsearchError as error:
        raise ValueError(str(error)) from None


def parse_path(text: str) -> Path | None:
    return Path(text) if text else None


def parse_group(text: str) -> str:
    """Return a group that may serve the webhooks, or a group with its version."""
    known = [group for pair in zip(API_VERSIONS, API_GROUPS, strict=True) for group in pair]
    if text and text not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return text


def parse_selector(text: str) -> str:
    """Return a label selector; the Kubernetes API server validates it."""
    return text.strip()


def parse_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def parse_start(text: str) -> str | float:
    """Return `now`, `created`, a duration back in seconds, or "" for the default rule."""
    if text in ("", "now", "created"):
        return text
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError("must be now, created, or a duration such as 24h") from None


def _optional_duration(text: str) -> float | None:
    return parse_pause(text) if text else None


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting. `default` as a person would write it; `secret` values are never repeated in a message."""

    name: str
    default: str
    parse: Callable[[str], Any]
    meaning: str
    secret: bool = False

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


SETTINGS = (
    Setting("webhooks", "", parse_path, "file or folder of manifests: SecurityEventWebhooks, Secrets, ConfigMaps"),
    Setting(
        "kubeconfig",
        "",
        parse_path,
        "kubeconfig of the cluster with the webhooks; a pod uses its service account instead",
    ),
    Setting("context", "", str, "context of the kubeconfig, if not its current one"),
    Setting("api_group", "", parse_group, "API group that serves the webhooks; discovery finds it unless given"),
    Setting("selector", "", parse_selector, "label selector: which webhooks of the cluster this agent serves"),
    Setting(
        "beside_calico",
        "false",
        parse_flag,
        "leave to Calico's own processor what it delivers: serve only webhooks that were taken over from it",
    ),
    Setting(
        "secret_selector", "", parse_selector, "label selector: which Secrets and ConfigMaps webhooks may refer to"
    ),
    Setting("events", "", str, "NDJSON file of events, followed as it grows; `-` is standard input"),
    Setting("elasticsearch", "", members, "URLs of Elasticsearch to read events from, separated by commas"),
    Setting("index", "tigera_secure_ee_events.*", parse_index, "pattern of the indices that hold the events"),
    Setting("time_field", "time", str, "field of the events' own time"),
    Setting("cluster_name", "", str, "only events with this value in their field `cluster`"),
    Setting(
        "elasticsearch_api_key_file",
        "",
        parse_path,
        "file with an API key for Elasticsearch; read again when it changes",
    ),
    Setting(
        "elasticsearch_username_file",
        "",
        parse_path,
        "file with the user name for basic authentication; read again when it changes",
    ),
    Setting("elasticsearch_password_file", "", parse_path, "file with the user's password; read again when it changes"),
    Setting("elasticsearch_token_file", "", parse_path, "file with a bearer token; read again when it changes"),
    Setting(
        "elasticsearch_ca_file",
        "",
        parse_path,
        "file with the CA certificates to trust, PEM; read again when it changes",
    ),
    Setting(
        "elasticsearch_client_cert_file",
        "",
        parse_path,
        "file with the agent's client certificate, PEM; read again when it changes",
    ),
    Setting(
        "elasticsearch_client_key_file",
        "",
        parse_path,
        "file with the key of that certificate, PEM; read again when it changes",
    ),
    Setting("state", "", parse_path, "folder for what waits to be sent; one agent at a time uses it"),
    Setting("store", "", str, "PostgreSQL to use instead of a file there, as `postgresql://…`; a secret", secret=True),
    Setting("store_file", "", parse_path, "file with the URL of that PostgreSQL"),
    Setting("once", "false", parse_flag, "end when everything has been read and delivered"),
    Setting("timeout", "", _optional_duration, "with --once: stop after so long, with exit code 124"),
    Setting("secrets_namespace", "tigera-intrusion-detection", str, "namespace of the Secrets and ConfigMaps"),
    Setting("fields", "calico", parse_fields, "which keys queries may use: `calico` or `any`"),
    Setting(
        "event_map",
        "",
        parse_path,
        "file with maps of your own events, for messages and times: read when the agent starts",
    ),
    Setting("poll_interval", "1s", parse_pause, "pause between two polls for new events"),
    Setting("page_size", "1000", parse_count, "events read at once"),
    Setting("known_for", "24h", parse_duration, "how long a read event is remembered, so that it is not sent twice"),
    Setting(
        "max_event_age",
        "24h",
        parse_pause,
        "events from Elasticsearch that are older when read are counted, not delivered",
    ),
    Setting("start", "", parse_start, "where a new webhook starts: `now`, `created`, or a duration back such as `24h`"),
    Setting("forget_after", "10m", parse_duration, "how long a deleted webhook's pending deliveries are kept"),
    Setting("store_max", "2GiB", parse_size, "disk space that the store may use"),
    Setting("request_timeout", "10s", parse_pause, "time for a whole request, from name lookup to last byte"),
    Setting(
        "retry_initial",
        "2s",
        parse_pause,
        "first pause after a failure; doubles when a few different events have failed",
    ),
    Setting("retry_max", "15m", parse_pause, "longest pause between two attempts"),
    Setting("retry_horizon", "72h", parse_pause, "how long a delivery is tried before it is a dead letter"),
    Setting("dead_letters_for", "30d", parse_pause, "how long a dead letter is kept before it is dropped, and counted"),
    Setting("attempts_kept", "1000", parse_number, "attempts of each webhook that the log of deliveries has; 0: none"),
    Setting("attempts_for", "7d", parse_pause, "how long an attempt stays in the log of deliveries"),
    Setting("workers", "1024", parse_count, "most requests at the same time"),
    Setting("rate_slack", "1/s", parse_rate, "most requests to each Slack webhook"),
    Setting("rate_jira", "10/min", parse_rate, "most requests to each Jira webhook"),
    Setting("rate_generic", "1000/s", parse_rate, "most requests to each Generic webhook"),
    Setting("rate_alertmanager", "1000/s", parse_rate, "most requests to each AlertManager webhook"),
    Setting("egress_allow", "", parse_rules, "addresses that receivers may have, besides the default ones"),
    Setting("egress_deny", "", parse_rules, "addresses that receivers may not have"),
    Setting("slack_url_prefixes", "", members, "what Slack URLs may begin with, instead of Slack's own hosts"),
    Setting("proxy", "", str, "HTTP proxy for all requests; NO_PROXY lists hosts that need none", secret=True),
    Setting(
        "listen",
        "127.0.0.1:9280",
        parse_listen,
        "address for metrics and health; `off` for none, the default with --once",
    ),
)
"""Every setting, in the order in which the documentation lists them."""

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_RATES = {"Slack": "rate_slack", "Jira": "rate_jira", "Generic": "rate_generic", "AlertManager": "rate_alertmanager"}


@dataclass(frozen=True)
class Settings:
    """Parsed settings: durations in seconds, rates in events a second, sizes in bytes."""

    webhooks: Path | None
    kubeconfig: Path | None
    context: str
    api_group: str
    selector: str
    beside_calico: bool
    secret_selector: str
    events: str
    elasticsearch: tuple[str, ...]
    index: str
    time_field: str
    cluster_name: str
    elasticsearch_api_key_file: Path | None
    elasticsearch_username_file: Path | None
    elasticsearch_password_file: Path | None
    elasticsearch_token_file: Path | None
    elasticsearch_ca_file: Path | None
    elasticsearch_client_cert_file: Path | None
    elasticsearch_client_key_file: Path | None
    state: Path | None
    store: str = field(repr=False)
    store_file: Path | None
    once: bool
    timeout: float | None
    secrets_namespace: str
    fields: str
    event_map: Path | None
    poll_interval: float
    page_size: int
    known_for: float
    max_event_age: float
    start: str | float
    forget_after: float
    store_max: int
    request_timeout: float
    retry_initial: float
    retry_max: float
    retry_horizon: float
    dead_letters_for: float
    attempts_kept: int
    attempts_for: float
    workers: int
    rate_slack: float
    rate_jira: float
    rate_generic: float
    rate_alertmanager: float
    egress_allow: tuple[Rule, ...]
    egress_deny: tuple[Rule, ...]
    slack_url_prefixes: tuple[str, ...]
    proxy: str = field(repr=False)
    listen: tuple[str, int] | None

    @property
    def rates(self) -> Mapping[str, float]:
        """Consumer -> requests a second for each of its webhooks."""
        return {consumer: getattr(self, name) for consumer, name in _RATES.items()}


def from_environment(
    environment: Mapping[str, str], flags: Mapping[str, str] | None = None
) -> tuple[Settings, Sequence[str]]:
    """Return settings from flags (by setting's name), else `SEW_…` variables, else defaults; and warnings.

    Raises SettingsError.
    """
    given = flags or {}
    values = {setting.name: _value(setting, environment, given) for setting in SETTINGS}
    if values["once"] and "listen" not in given and not environment.get("SEW_LISTEN"):
        values["listen"] = None
    settings = Settings(**values)
    _check(settings)
    return settings, _unknown(environment)


def _value(setting: Setting, environment: Mapping[str, str], flags: Mapping[str, str]) -> Any:
    if setting.name in flags:
        return _parsed(setting, flags[setting.name], setting.flag)
    text = environment.get(setting.variable, "")
    return _parsed(setting, text.strip() or setting.default, setting.variable)


def _parsed(setting: Setting, text: str, place: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError as error:
        shown = "" if setting.secret else f" {line(text, _SHOWN)!r}"
        raise SettingsError(f"{place}{shown}: {line(str(error), 3 * _SHOWN)}") from None


def _check(settings: Settings) -> None:
    if settings.timeout and not settings.once:
        raise SettingsError("--timeout (SEW_TIMEOUT) is for --once: without it the agent runs until it is stopped")
    if settings.retry_initial > settings.retry_max:
        raise SettingsError("SEW_RETRY_INITIAL is longer than SEW_RETRY_MAX: make it shorter")


def _unknown(environment: Mapping[str, str]) -> Sequence[str]:
    known = {setting.variable for setting in SETTINGS}
    ours = [name for name in sorted(environment) if name.startswith(PREFIX) and name not in known]
    return [_warning(name) for name in ours if not _OF_A_SERVICE.search(name)]


def _warning(variable: str) -> str:
    close = get_close_matches(variable.removeprefix(PREFIX).lower(), _BY_NAME, 1)
    hint = f": did you mean {_BY_NAME[close[0]].variable}?" if close else f"; see {page('settings')}"
    return f"{variable} is not a setting{hint}"
