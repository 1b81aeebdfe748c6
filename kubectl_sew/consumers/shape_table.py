"""Table of the fields in which events of other tools hold what a message shows. `shapes` reads it.

A shape is known by its marks, all of which an event must have. Of several places the first that holds something counts;
a dot leads into an object, or is part of a name.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of events: Calico's name of a field -> the places where this kind holds it."""

    name: str
    marks: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]]


# https://falco.org/docs/reference/rules/supported-fields/, and its JSON output
FALCO = Shape(
    "Falco",
    ("rule", "output", "priority"),
    {
        "type": ("rule",),
        "description": ("output",),
        "severity": ("priority",),
        "time": ("time",),
        "host": ("hostname",),
        "source_namespace": ("output_fields.k8s.ns.name",),
        "source_name": ("output_fields.k8s.pod.name", "output_fields.container.name", "hostname"),
        "source_ip": ("output_fields.fd.cip",),
        "source_port": ("output_fields.fd.cport",),
        "dest_ip": ("output_fields.fd.sip",),
        "dest_port": ("output_fields.fd.sport",),
    },
)
# https://docs.suricata.io/en/latest/output/eve/eve-json-format.html
SURICATA = Shape(
    "Suricata",
    ("event_type", "timestamp"),
    {
        "type": ("alert.signature", "anomaly.event", "event_type"),
        "description": ("alert.category", "anomaly.type"),
        "severity": ("alert.severity",),
        "time": ("timestamp",),
        "host": ("host",),
        "protocol": ("proto",),
        "source_ip": ("src_ip",),
        "source_port": ("src_port",),
        "dest_ip": ("dest_ip",),
        "dest_port": ("dest_port",),
        "mitre_ids": ("alert.metadata.mitre_technique_id",),
        "mitre_tactic": ("alert.metadata.mitre_tactic_name",),
    },
)
_ECS_PLACES = {
    "type": ("kibana.alert.rule.name", "rule.name", "event.action", "event.category", "event.kind", "event.dataset"),
    "description": ("kibana.alert.reason", "message", "event.reason", "rule.description", "event.original"),
    "severity": ("kibana.alert.severity", "event.severity", "log.level"),
    "time": ("@timestamp", "event.created"),
    "origin": ("event.module", "event.provider", "observer.name", "agent.type"),
    "host": ("host.name", "host.hostname", "observer.hostname"),
    "protocol": ("network.transport", "network.protocol"),
    "source_namespace": ("kubernetes.namespace", "orchestrator.namespace"),
    "source_name": ("kubernetes.pod.name", "source.domain", "orchestrator.resource.name", "user.name"),
    "source_ip": ("source.ip", "source.address", "client.ip"),
    "source_port": ("source.port", "client.port"),
    "dest_name": ("destination.domain", "url.domain"),
    "dest_ip": ("destination.ip", "destination.address", "server.ip"),
    "dest_port": ("destination.port", "server.port"),
    "mitre_ids": ("threat.technique.id",),
    "mitre_tactic": ("threat.tactic.name",),
}
# https://www.elastic.co/docs/reference/ecs/ecs-field-reference
ECS = Shape("", ("@timestamp", "event"), _ECS_PLACES)
ECS_BY_VERSION = Shape("", ("@timestamp", "ecs.version"), _ECS_PLACES)
ECS_DOTTED = Shape("", ("@timestamp", "event.kind"), _ECS_PLACES)
KIBANA = Shape("Kibana", ("@timestamp", "kibana.alert.rule.name"), _ECS_PLACES)

ANY = Shape(
    "",
    (),
    {
        "type": ("rule", "rule_name", "alert", "signature", "title", "event_type", "event", "kind"),
        "description": ("message", "msg", "summary", "output", "reason", "text", "log"),
        "severity": ("priority", "level", "risk"),
        "time": ("@timestamp", "timestamp", "ts", "date", "datetime"),
        "host": ("hostname", "host.name"),
        "source_ip": ("src_ip", "source.ip", "src", "client_ip"),
        "source_port": ("src_port", "source.port"),
        "dest_ip": ("dst_ip", "destination.ip", "dst", "server_ip"),
        "dest_port": ("dst_port", "destination.port"),
    },
)
"""Shape of all other events: names that many programs use."""

SHAPES = (FALCO, SURICATA, KIBANA, ECS, ECS_BY_VERSION, ECS_DOTTED)
