"""Generic: any HTTP receiver that takes JSON, or what a template makes of the event."""

from kubectl_sew.consumers.base import Variable
from kubectl_sew.consumers.tls import TLS_VARIABLES


class Generic:
    """Renders for any receiver."""

    name = "Generic"
    variables = (
        Variable("url", required=True, meaning="where events are posted to", secret=True),
        Variable("headers", required=False, meaning="more headers, one `Name: value` a line", secret=True),
        Variable("template", required=False, meaning="a Jinja2 template of the body"),
        Variable(
            "signingSecret",
            required=False,
            meaning="one or two Standard Webhooks secrets (`whsec_…`), separated by a blank",
            secret=True,
        ),
        *TLS_VARIABLES,
    )
