"""AlertManager: one alert for each event, through API version 2."""

from kubectl_sew.consumers.base import Variable
from kubectl_sew.consumers.tls import TLS_VARIABLES


class AlertManager:
    """Renders for Prometheus Alertmanager."""

    name = "AlertManager"
    variables = (
        Variable(
            "url",
            required=True,
            meaning="ends with `/api/v2/alerts`; several, separated by commas, are peers of one cluster",
            secret=True,
        ),
        Variable("basicAuth", required=False, meaning="`user:password`", secret=True),
        *TLS_VARIABLES,
        Variable("generatorURL", required=False, meaning="where an alert links back to"),
    )
