"""Builds the agent's parts from its settings, and says what is missing."""

import os
import random
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from kubectl_sew.consumers.base import Outcome
from kubectl_sew.consumers.digest_settings import gathered_for
from kubectl_sew.consumers.registry import consumers
from kubectl_sew.consumers.slack import URL_PREFIXES
from kubectl_sew.event import Event, delivery_id
from kubectl_sew.event_maps.files import load_maps
from kubectl_sew.event_maps.readable import EventMaps
from kubectl_sew.query import FieldSet
from kubectl_sew.query.fields import FIELD_SETS
from kubectl_sew.validation.webhook import Accepted
from sew_agent.base.clocks import steady_seconds
from sew_agent.base.health import MAIN, STALLED_AFTER, Health
from sew_agent.base.log import Log
from sew_agent.base.metrics import Metrics
from sew_agent.base.open_files import deliveries_within
from sew_agent.base.process import process_gauges
from sew_agent.base.settings import Settings, SettingsError
from sew_agent.delivery.attempt import MOST_REQUESTS, Send, attempt
from sew_agent.delivery.dispatcher import Dispatcher
from sew_agent.delivery.http.client import HttpClient
from sew_agent.delivery.http.egress import EgressGuard, OwnEndpoints
from sew_agent.delivery.http.proxy import read_proxy
from sew_agent.delivery.http.resolver import Resolver
from sew_agent.delivery.http.transport import HttpTransport
from sew_agent.delivery.queues import Queues
from sew_agent.delivery.retry import Policy, is_failing
from sew_agent.delivery.tester import Attempt, DeliveryTester
from sew_agent.environment import Environment, FilesEnvironment, StatusSink
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.ndjson.stdin import NdjsonStream
from sew_agent.ingest.poller import Poller
from sew_agent.ingest.readers import SHARED
from sew_agent.ingest.source import EventSource
from sew_agent.status.collector import collect
from sew_agent.status.server import serve
from sew_agent.status.telemetry import DeliveryTelemetry, IngestTelemetry
from sew_agent.status.tracing import collector, start_tracing
from sew_agent.store.contract import Store
from sew_agent.store.opening import StoreLimits, StorePlace, open_for_agent, read_url
from sew_agent.store.records import Delivery, EnqueueBatch
from sew_agent.webhooks.balancer import LONGEST_ROUND, Balancer
from sew_agent.webhooks.receivers import Receivers
from sew_agent.webhooks.reconciler import Parts, Reconciler
from sew_agent.webhooks.routes import Routes, route_of
from sew_agent.webhooks.validator import ValidationResult, WebhookValidator

_NO_ROOM_PAUSE = 2.0
_WATCH = 600.0
"""Seconds for which a running agent has seen at least that a webhook is gone, before it forgets it."""
_STDIN = 0


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that the main loop uses."""

    settings: Settings
    state: Path
    log: Log
    store: Store
    reading: IngestTelemetry
    poller: Poller
    dispatcher: Dispatcher
    receivers: Receivers
    tester: DeliveryTester
    reconciler: Reconciler
    health: Health
    metrics: Metrics
    environment: Environment
    status_sink: StatusSink
    source: EventSource
    balancer: Balancer | None
    """None where all is this agent's own."""
    reading_parts: ExitStack
    """What the agent that reads must close before another one reads."""


def open_environment(settings: Settings, log: Log, stack: ExitStack) -> Environment:
    """Return where the webhooks come from, until `stack` ends it. Raises SewError."""
    if settings.webhooks is not None:
        return FilesEnvironment(settings.webhooks, settings.secrets_namespace, log)
    from sew_agent.kubernetes.environment import log_in  # noqa: PLC0415 - its client costs 20 MiB

    return log_in(settings, store_place(settings), log, stack)


def store_place(settings: Settings) -> StorePlace:
    """Return where the store is. Raises SewError."""
    return StorePlace(_given(settings.state), read_url(settings.store, settings.store_file), settings.store_file)


def open_store(settings: Settings, stack: ExitStack) -> Store:
    """Open the store, until `stack` closes it. Raises StoreError, StoreHeldError where another agent has it."""
    limits = StoreLimits(
        known_for=_known_for(settings), max_bytes=settings.store_max, attempts_kept=settings.attempts_kept
    )
    return open_for_agent(store_place(settings), stack, limits, alone=settings.once)


def assemble(settings: Settings, environment: Environment, store: Store, log: Log, stack: ExitStack) -> Runtime:
    """Open all the rest; `stack` closes it in the right order. Raises SewError."""
    most = _in_flight(settings, log)
    client = _client(settings, most, environment, stack)
    health, metrics = Health(), Metrics(process_gauges)
    for name, heartbeat in store.heartbeats().items():
        health.watch(name, heartbeat)
    reading_parts = stack.enter_context(ExitStack())
    session = environment.start_session(
        store, _tried(partial(client.send, deadline=settings.request_timeout)), health, reading_parts
    )
    gathered: dict[str, float] = {}
    page = partial(_scrape, store, metrics, gathered)
    serve(settings.listen, health, page, log, stack)
    maps = EventMaps(load_maps(settings.event_map), settings.time_field)
    dispatcher = Dispatcher(
        store,
        _queues(settings, most, store, maps),
        HttpTransport(client, settings.request_timeout),
        DeliveryTelemetry(log, metrics, _failing(store), maps),
        store.clock,
        steady_seconds,
        maps=maps,
        tracing=start_tracing(os.environ, log, stack),
    )
    sharing = store.sharing()
    routes = Routes(dispatcher, frozenset() if sharing else None)
    receivers = Receivers(store, dispatcher, routes)
    source = _source(settings, maps, store, log, health.heartbeat(MAIN, STALLED_AFTER).beat, stack)
    _inherit(source, store, environment.inherited_position())
    reading = IngestTelemetry(log, metrics, time.time, dispatcher.notify, maps)
    stack.callback(reading.close)
    known_for = _known_for(settings)
    poller = Poller(source, store, reading, page_size=settings.page_size, pause=_NO_ROOM_PAUSE, known_for=known_for)
    parts = Parts(
        webhooks=session.webhooks,
        validator=WebhookValidator(lambda: source.fields, consumers(settings.slack_url_prefixes or URL_PREFIXES, maps)),
        store=store,
        poller=poller,
        routes=routes,
        tester=session.tester,
        log=log,
    )
    reconciler = Reconciler(
        parts,
        forget_after=settings.forget_after,
        start=settings.start,
        by_number=bool(settings.elasticsearch),
        beside_calico=settings.beside_calico,
        changed=partial(_serve, reading, metrics, gathered),
        steady=steady_seconds,
        watch=0.0 if settings.once else min(settings.forget_after, _WATCH),
    )
    balancer = None
    if sharing:
        balancer = Balancer(sharing, routes, dispatcher, health.heartbeat("ownership", LONGEST_ROUND), log)
        stack.callback(balancer.stop)
    return Runtime(
        settings=settings,
        state=_given(settings.state),
        log=log,
        store=store,
        reading=reading,
        poller=poller,
        dispatcher=dispatcher,
        receivers=receivers,
        tester=session.tester,
        reconciler=reconciler,
        health=health,
        metrics=metrics,
        environment=environment,
        status_sink=session.start_reporter(reconciler, reading_parts),
        source=source,
        balancer=balancer,
        reading_parts=reading_parts,
    )


def _serve(reading: IngestTelemetry, metrics: Metrics, gathered: dict[str, float], validated: ValidationResult) -> None:
    """Observe the webhooks and exceptions that there are from now on."""
    reading.serve(validated.accepted)
    gathered.update({name: gathered_for(accepted.config) for name, accepted in validated.accepted.items()})
    exceptions = validated.exceptions
    metrics.set_exceptions([*(accepted.name for accepted in exceptions.accepted), *exceptions.broken])


def _inherit(source: EventSource, store: Store, position: str) -> None:
    """Begin an empty store where another agent has left the events."""
    if store.positions() or not position:
        return
    with suppress(ValueError, TypeError, AttributeError, LookupError):  # of another version: it begins at the newest
        source.reached(position, position)
        store.enqueue(EnqueueBatch((), {SHARED: position}, store.clock()))


def check(settings: Settings) -> None:
    """Raise SettingsError where settings are missing, or do not go together, EventMapError for a map that is wrong."""
    if settings.state is None:
        raise SettingsError("--state (SEW_STATE) is needed: see `sew-agent run --help`")
    if bool(settings.events) == bool(settings.elasticsearch):
        wrong = "cannot be given together" if settings.events else "are missing: give one of them"
        raise SettingsError(
            f"--elasticsearch (SEW_ELASTICSEARCH) and --events (SEW_EVENTS) {wrong}: see `sew-agent run --help`"
        )
    if not (settings.webhooks or settings.kubeconfig or _in_pod()):
        raise SettingsError(
            "--webhooks (SEW_WEBHOOKS) is needed, or outside of a pod --kubeconfig (SEW_KUBECONFIG) for those of a "
            "cluster: see `sew-agent run --help`"
        )
    load_maps(settings.event_map)


def _in_flight(settings: Settings, log: Log) -> int:
    """Return how many deliveries may be in flight."""
    most = deliveries_within(settings.workers, MOST_REQUESTS)
    if most < settings.workers:
        message = f"the system's limit of open files allows no more than {most}: raise it (`ulimit -n`)"
        log.warning("fewer_in_flight", message=message)
    return most


def _client(settings: Settings, most: int, environment: Environment, stack: ExitStack) -> HttpClient:
    resolver = Resolver()
    client = HttpClient(
        EgressGuard(settings.egress_allow, settings.egress_deny, OwnEndpoints(_own(settings, environment), resolver)),
        resolver,
        user_agent=f"sew-agent/{version('kubectl-sew')}",
        proxy=read_proxy(settings.proxy, os.environ.get("NO_PROXY", "")),
        most_idle=most,
    )
    stack.callback(client.close)
    return client


def _own(settings: Settings, environment: Environment) -> Mapping[str, str]:
    """Return the URLs that the agent itself uses, with what is there."""
    urls = dict.fromkeys(settings.elasticsearch, "the agent's own Elasticsearch")
    servers = [*environment.servers()]
    if host := os.environ.get("KUBERNETES_SERVICE_HOST", ""):
        in_url = f"[{host}]" if ":" in host else host
        servers.append(f"https://{in_url}:{os.environ.get('KUBERNETES_SERVICE_PORT', '443')}")
    urls |= dict.fromkeys(servers, "the cluster's API server")
    urls |= dict.fromkeys(store_place(settings).servers(), "the agent's own PostgreSQL")
    return urls | dict.fromkeys([collector(os.environ)], "the agent's own collector of traces")


def _queues(settings: Settings, most: int, store: Store, maps: EventMaps) -> Queues:
    policy = Policy(settings.retry_initial, settings.retry_max, settings.retry_horizon, random.random)
    return Queues(store, settings.rates, most, policy, maps)


def _failing(store: Store) -> set[str]:
    return {name for name, receiver in store.receivers().items() if is_failing(receiver)}


def _scrape(store: Store, metrics: Metrics, gathered: Mapping[str, float]) -> str:
    sharing, counters = store.sharing(), store.counters()
    if sharing and not sharing.reads:  # what is counted for all together, the one that reads serves
        metrics.keep({row.webhook for row in counters})
        return metrics.write({})
    return collect(counters, store.receivers(), store.room(), gathered, metrics, store.clock())


def _known_for(settings: Settings) -> float:
    """Return the seconds for which seen events are kept: what may be read again must still be known."""
    return max(settings.known_for, settings.max_event_age)


def _source(
    settings: Settings, maps: EventMaps, store: Store, log: Log, beat: Callable[[], None], stack: ExitStack
) -> EventSource:
    """`beat`: the sign of life of the loop that reads."""
    source: EventSource
    fields = FIELD_SETS[settings.fields]
    if settings.elasticsearch:
        source = _elasticsearch(settings, fields, store, beat)
    elif settings.events == "-":
        log.warning(
            "position_not_kept", message="standard input cannot be read again: what is not in the store is lost"
        )
        source = NdjsonStream(_STDIN, fields, maps, run=uuid.uuid4().hex, whole=settings.once)
    else:
        source = NdjsonFile(Path(settings.events), fields, maps, whole=settings.once, beat=beat)
    stack.callback(source.close)
    _check_positions(source, store.positions(), settings)
    return source


def _check_positions(source: EventSource, positions: Mapping[str, str], settings: Settings) -> None:
    """Raise SettingsError where they were written by another kind of source."""
    try:
        source.reached(positions[SHARED], positions[SHARED])
    except KeyError:
        return
    except (ValueError, TypeError, AttributeError):
        raise SettingsError(
            f"the state folder {settings.state} was used with another source of events, and holds positions in it: "
            "name another --state, or finish there first what waits, with the events that it was used with"
        ) from None


def _elasticsearch(settings: Settings, fields: FieldSet, store: Store, beat: Callable[[], None]) -> EventSource:
    from kubectl_sew.elasticsearch.credentials import from_files  # noqa: PLC0415 - its client costs 19 MiB
    from sew_agent.ingest.elasticsearch.source import ElasticsearchSource, IngestSettings  # noqa: PLC0415 - as above

    reading = IngestSettings(
        settings.index, settings.time_field, settings.cluster_name, settings.max_event_age, _known_for(settings)
    )
    names = ("api_key", "username", "password", "token", "ca", "client_cert", "client_key")
    access = from_files(
        settings.elasticsearch, {name: getattr(settings, f"elasticsearch_{name}_file") for name in names}
    )
    source = ElasticsearchSource(reading, access, store.seen_by, fields, beat=beat)
    source.read_fields()
    return source


def _in_pod() -> bool:
    """Return whether Kubernetes has put the address of its API server into this process' environment."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def _given(path: Path | None) -> Path:
    if path is None:  # `check` has seen to it
        raise SettingsError("a path is missing")
    return path


def _tried(send: Send) -> Attempt:
    """Return what makes one attempt outside the queues: its result is reported, and nothing is tried again."""

    def tried(accepted: Accepted, event: Event) -> Outcome:
        name = accepted.webhook.name
        delivery = Delivery(0, name, delivery_id(name, event), event, time.time())
        return attempt(route_of(accepted), delivery, send, clock=time.time)

    return tried
