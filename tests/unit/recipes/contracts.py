"""What each vendor documents of a request's body, as strict schemas: a name that a page does not have is refused.

The pages are those that the recipes link to. Where a library reads the format, the tests ask that instead.
"""

from typing import Any

TEXT = {"type": "string"}
NUMBER = {"type": "number"}


def text(most: int = 1_000_000, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "minLength": least}


def words(*known: str) -> dict[str, Any]:
    return {"enum": list(known)}


def exact(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with exactly these members."""
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def several(items: dict[str, Any], most: int = 1_000) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
RUN = exact({"type": words("TextRun"), "text": TEXT}, {"weight": words("Bolder"), "isSubtle": {"type": "boolean"}})
CARD = exact(
    {
        "$schema": words("http://adaptivecards.io/schemas/adaptive-card.json"),
        "type": words("AdaptiveCard"),
        "version": words("1.4"),
        "body": several(
            {
                "oneOf": [
                    exact(
                        {"type": words("TextBlock"), "text": text()},
                        {
                            "size": words("Medium"),
                            "weight": words("Bolder"),
                            "wrap": {"type": "boolean"},
                            "color": words("Default", "Attention", "Warning"),
                        },
                    ),
                    exact({"type": words("RichTextBlock"), "inlines": several(RUN)}),
                ]
            }
        ),
    },
    {"msteams": exact({"width": words("Full")})},
)
FIELD = exact({"title": text(), "value": text(), "short": {"type": "boolean"}})
LABELS = {"type": "object", "additionalProperties": TEXT}

CONTRACTS: dict[str, dict[str, Any]] = {
    "microsoft-teams": exact(
        {
            "type": words("message"),
            "attachments": several(
                exact(
                    {
                        "contentType": words("application/vnd.microsoft.card.adaptive"),
                        "contentUrl": {"type": "null"},
                        "content": CARD,
                    }
                ),
                1,
            ),
        }
    ),
    "google-chat": exact({"text": text(4_096)}),
    "discord": exact(
        {
            "allowed_mentions": exact({"parse": {"type": "array", "maxItems": 0}}),
            "embeds": several(
                exact(
                    {
                        "title": text(256),
                        "description": text(4_096, 0),
                        "color": {"type": "integer", "minimum": 0, "maximum": 0xFFFFFF},
                        "fields": several(
                            exact({"name": text(256), "value": text(1_024), "inline": {"type": "boolean"}}), 25
                        ),
                        "footer": exact({"text": text(2_048)}),
                    }
                ),
                10,
            ),
        }
    ),
    "mattermost": exact(
        {
            "attachments": several(
                exact(
                    {
                        "fallback": text(),
                        "color": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
                        "title": text(),
                        "text": TEXT,
                        "fields": several(FIELD),
                        "footer": text(),
                    }
                )
            )
        }
    ),
    "rocket-chat": exact(
        {
            "text": text(5_000),
            "attachments": several(
                exact(
                    {
                        "title": text(),
                        "text": TEXT,
                        "color": {"type": "string", "pattern": "^#[0-9a-f]{6}$"},
                        "fields": several(FIELD),
                    }
                )
            ),
        }
    ),
    "webex": exact({"roomId": text(), "text": text(7_439)}),
    "telegram": exact(
        {
            "chat_id": text(),
            "text": text(4_096),
            "link_preview_options": exact({"is_disabled": {"type": "boolean"}}),
        }
    ),
    "pagerduty": exact(
        {
            "routing_key": text(),
            "event_action": words("trigger", "acknowledge", "resolve"),
            "dedup_key": text(255),
            "payload": exact(
                {
                    "summary": text(1_024),
                    "source": text(),
                    "severity": words("critical", "error", "warning", "info"),
                },
                {"timestamp": TIME, "component": TEXT, "group": TEXT, "class": TEXT, "custom_details": {}},
            ),
        },
        {"client": TEXT, "client_url": TEXT, "links": {}, "images": {}},
    ),
    "opsgenie": exact(
        {"message": text(130)},
        {
            "alias": text(512),
            "description": text(15_000),
            "entity": text(512),
            "source": text(100),
            "priority": words("P1", "P2", "P3", "P4", "P5"),
            "tags": several(text(50), 20),
            "details": {"type": "object", "additionalProperties": TEXT},
        },
    ),
    "incident-io": exact(
        {"title": text(), "status": words("firing", "resolved")},
        {"description": TEXT, "deduplication_key": text(), "metadata": {"type": "object"}, "source_url": TEXT},
    ),
    "grafana-oncall": exact(
        {"alert_uid": text(), "title": text(), "state": words("ok", "alerting"), "message": text()}
    ),
    "servicenow": exact(
        {
            "records": several(
                exact(
                    {
                        "source": text(),
                        "event_class": text(100),
                        "node": text(100),
                        "type": text(100),
                        "severity": words("0", "1", "2", "3", "4", "5"),
                        "description": text(4_000),
                        "message_key": text(1_024),
                        "time_of_event": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"},
                    },
                    {"resource": TEXT, "metric_name": TEXT, "additional_info": TEXT, "resolution_state": TEXT},
                )
            )
        }
    ),
    "splunk": exact(
        {"event": {"type": "object"}},
        {
            "time": NUMBER,
            "host": text(),
            "source": text(),
            "sourcetype": text(),
            "index": text(),
            "fields": {"type": "object", "additionalProperties": TEXT},
        },
    ),
    "elasticsearch": {"type": "array", "minItems": 2, "maxItems": 2},
    "opensearch": {"type": "array", "minItems": 2, "maxItems": 2},
    "loki": exact(
        {
            "streams": several(
                exact(
                    {
                        "stream": {
                            "type": "object",
                            "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                            "additionalProperties": text(2_048),
                        },
                        "values": several(
                            {
                                "type": "array",
                                "prefixItems": [{"type": "string", "pattern": r"^-?\d{10,19}$"}, text(262_144)],
                                "items": False,
                                "minItems": 2,
                            }
                        ),
                    }
                )
            )
        }
    ),
    "datadog": exact(
        {"title": text(100), "text": text(4_000)},
        {
            "aggregation_key": text(100),
            "alert_type": words("error", "warning", "info", "success"),
            "priority": words("normal", "low"),
            "tags": several(text(200)),
        },
    ),
    "cloudevents": exact(
        {"specversion": words("1.0"), "id": text(), "source": text(), "type": text(), "data": {"type": "object"}},
        {"subject": text(), "time": TIME, "datacontenttype": words("application/json")},
    ),
    "ocsf": {"type": "object"},
    "amazon-sns": {"type": "object"},
}
