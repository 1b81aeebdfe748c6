"""The TLS variables that some consumers share: a webhook's own CA and client certificate."""

from kubectl_sew.consumers.base import Variable

TLS_VARIABLES = (
    Variable("ca.crt", required=False, meaning="PEM of the authorities that the receiver's certificate is checked against"),
    Variable("tls.crt", required=False, meaning="PEM of the client certificate that is shown to the receiver"),
    Variable("tls.key", required=False, meaning="PEM of the client certificate's key, without a passphrase", secret=True),
)
