"""How servers prove who they are, the same with every version of Python."""

import ssl

import pytest

from kubectl_sew.tls import client_context, set_verification


@pytest.mark.parametrize("before", [ssl.VERIFY_DEFAULT, ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN])
def test_what_is_trusted_does_not_depend_on_the_interpreters_defaults(before: ssl.VerifyFlags) -> None:
    context = client_context()
    context.verify_flags = before
    set_verification(context)
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_servers_are_verified_by_name_with_tls_of_today() -> None:
    context = client_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
