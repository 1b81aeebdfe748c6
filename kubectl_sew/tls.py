"""Verification of servers' certificates: one rule for receivers, Elasticsearch and the Kubernetes API."""

import ssl
from pathlib import Path


def client_context(*, cafile: Path | str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """A context that trusts these authorities (a path or PEM text), or without them those of the system.

    Raises OSError (ssl.SSLError) or ValueError where they cannot be read.
    """
    if cadata:  # of which Python takes ASCII alone: what else stands in it are comments, as systems' bundles have them
        cadata = cadata.encode("ascii", "replace").decode()
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    set_verification(context)
    return context


def holds_certificates(pem: str) -> bool:
    """Return whether a client finds certificates in a PEM text, and can read each of them."""
    try:
        client_context(cadata=pem)
    except (ssl.SSLError, ValueError):
        return False
    return True


def set_verification(context: ssl.SSLContext) -> None:
    """Trust what curl and Go trust, with every version of Python: an intermediate authority that is given alone, and
    one whose certificate leaves out what RFC 5280 asks for. Python 3.13 changed its defaults for both.
    """
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
