"""Certificates: whom to trust, one rule for receivers, Elasticsearch and Kubernetes; and a client's own pair."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNREADABLE = "UNREADABLE"
"""Stands for a reason where OpenSSL gives none: the key is not what its PEM label says."""


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


def load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give a context the client's certificate and its key, both PEM. Raises ssl.SSLError."""
    with _readable(certificate + "\n" + key) as path:
        context.load_cert_chain(path, password=lambda: "")  # else OpenSSL asks for one on a terminal


def why_unusable(certificate: str, key: str) -> str:
    """Return OpenSSL's reason, e.g. KEY_VALUES_MISMATCH, why a client cannot use this pair; "" where it can."""
    try:
        load_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    except ssl.SSLError as error:
        return error.reason or UNREADABLE
    return ""


@contextmanager
def _readable(text: str) -> Iterator[str]:
    """Give OpenSSL a path to a text: in memory where the system can, so that no key is written to disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tls")
        try:
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tls"
        path.touch(mode=0o600)
        path.write_text(text)
        yield str(path)


def set_verification(context: ssl.SSLContext) -> None:
    """Trust what curl and Go trust, with every version of Python: an intermediate authority that is given alone, and
    one whose certificate leaves out what RFC 5280 asks for. Python 3.13 changed its defaults for both.
    """
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
