"""The TLS variables that some consumers share: a webhook's own CA and client certificate. Read here, used elsewhere."""

import re
from collections.abc import Iterator

from kubectl_sew.consumers.base import Config, ConfigProblem, Tls, Variable
from kubectl_sew.text import decode_base64

BUNDLE_LIMIT = 512 * 1024
"""Characters: all authorities that a system trusts are about 220 KiB."""
_PEM_LIMIT = 64 * 1024

TLS_VARIABLES = (
    Variable(
        "ca.crt",
        required=False,
        meaning="PEM of the authorities that sign the receiver's certificate",
        limit=BUNDLE_LIMIT,
    ),
    Variable(
        "tls.crt",
        required=False,
        meaning="PEM of the client certificate that is shown to the receiver",
        limit=_PEM_LIMIT,
    ),
    Variable(
        "tls.key",
        required=False,
        meaning="PEM of the client certificate's key, without a passphrase",
        secret=True,
        limit=_PEM_LIMIT,
    ),
)

_BEGIN, _END, _DASHES = "-----BEGIN ", "-----END ", "-----"
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED |Proc-Type: *4,ENCRYPTED")
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's reasons; the last one is that of a key of another kind, such as RSA beside EC."""


def read_tls(config: Config) -> Tls | None:
    """Return the PEM texts; None where no variable is set."""
    ca, certificate, key = (config.get(name, "").strip() for name in ("ca.crt", "tls.crt", "tls.key"))
    return Tls(ca, certificate, key) if ca or certificate or key else None


def check_tls(config: Config) -> list[ConfigProblem]:
    """Check the PEM texts, as far as that needs no connection."""
    tls = read_tls(config) or Tls()
    # OpenSSL reads its own form of a certificate where it is the client's, and not where it is an authority's.
    shown = tls.certificate.replace("TRUSTED CERTIFICATE", "CERTIFICATE")
    problems = _check_certificates("ca.crt", tls.ca) + _check_certificates("tls.crt", shown)
    problems += _check_key(tls.key)
    if bool(tls.certificate) is not bool(tls.key):
        given, absent = ("tls.crt", "tls.key") if tls.certificate else ("tls.key", "tls.crt")
        hint = "a client certificate needs both `tls.crt` and `tls.key`"
        problems.append(ConfigProblem(absent, f"`{absent}` is not set, but `{given}` is", hint))
    return problems or _check_pair(tls)


def _check_certificates(name: str, pem: str) -> list[ConfigProblem]:
    if not pem:
        return []
    from kubectl_sew.tls import holds_certificates  # noqa: PLC0415  # few webhooks have any

    if holds_certificates(pem):
        return []
    hint = "it begins with `-----BEGIN CERTIFICATE-----`"
    return [ConfigProblem(name, f"`{name}` holds no PEM certificate that can be read", hint)]


def _check_key(pem: str) -> list[ConfigProblem]:
    if _ENCRYPTED.search(pem):
        hint = "remove the passphrase, e.g. with `openssl pkey`"
        return [ConfigProblem("tls.key", "`tls.key` is encrypted, and the agent does not know its passphrase", hint)]
    if not pem or any(label in _KEYS for label in _labels(pem)):
        return []
    return [_unreadable_key()]


def _check_pair(tls: Tls) -> list[ConfigProblem]:
    if not tls.key:
        return []
    from kubectl_sew.tls import UNREADABLE, why_unusable  # noqa: PLC0415  # few webhooks have any

    reason = why_unusable(tls.certificate, tls.key)
    if not reason:
        return []
    if reason in _MISMATCHES:
        hint = "compare what `openssl x509 -noout -pubkey` prints of the one and `openssl pkey -pubout` of the other"
        return [ConfigProblem("tls.key", "`tls.key` is not the key of the certificate in `tls.crt`", hint)]
    if reason == UNREADABLE:
        return [_unreadable_key()]
    message = f"TLS refuses `tls.crt` with `tls.key`: {reason.lower().replace('_', ' ')}"
    return [ConfigProblem("tls.key", message, "export both again, the key as PKCS #8 PEM")]


def _unreadable_key() -> ConfigProblem:
    return ConfigProblem("tls.key", "`tls.key` holds no PEM key that can be read", "export the key as PKCS #8 PEM")


def _labels(pem: str) -> list[str]:
    """Return the labels of the sections whose content is Base64."""
    return [label for label, body in _sections(pem) if decode_base64(body)]


def _sections(pem: str) -> Iterator[tuple[str, str]]:
    """Yield label and content of each section, in one pass: a search by pattern takes hours for some texts."""
    for part in pem.split(_BEGIN)[1:]:
        label, _, rest = part.partition(_DASHES)
        body, end, closing = rest.partition(_END)
        if end and closing.startswith(label + _DASHES):
            yield label, body
