"""What a server repeats of a credential is taken out of what it says of failures, and out of nothing else."""

from base64 import b64encode

import pytest

from kubectl_sew.redaction import HIDDEN, redact_failures, redactor

ENCODED = b64encode(b"id-7:s3cret").decode()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"ApiKey {ENCODED}", f"ApiKey {HIDDEN}"),
        ("API key id [id-7] of user [sew]", f"API key id [{HIDDEN}] of user [{HIDDEN}]"),
        (f"Basic {b64encode(b'sew:pass word').decode()}", f"Basic {HIDDEN}"),
        (f"x{ENCODED}x, xpass wordx", f"x{HIDDEN}x, x{HIDDEN}x"),
        ("sewing machine", "sewing machine"),
    ],
)
def test_a_credential_its_base64_and_an_api_keys_parts_are_hidden_short_ones_as_words(said: str, shown: str) -> None:
    assert redactor(ENCODED, "sew", "pass word", "sew:pass word", "")(said) == shown


def test_of_a_pair_that_is_named_the_name_is_shown_unless_it_is_the_secret_as_well() -> None:
    said = f"API key id [id-7] of user [sew]: {ENCODED}, id-7:s3cret, s3cret"
    shown = f"API key id [id-7] of user [sew]: {HIDDEN}, {HIDDEN}, {HIDDEN}"
    assert redactor(ENCODED, "sew:s3cret", named=True)(said) == shown
    assert redactor("sew", "sew:sew", named=True)("user [sew]") == f"user [{HIDDEN}]"


def test_without_credentials_nothing_is_hidden() -> None:
    assert redactor("", "")("a  b") == "a  b"


def test_failures_are_redacted_wherever_elasticsearch_reports_them_and_documents_are_left_alone() -> None:
    said, shown = "user [sew]", f"user [{HIDDEN}]"
    failure = {"type": "security_exception", "reason": said, "caused_by": {"reason": said}, "failed_shards": [said]}
    redacted = {
        "type": "security_exception",
        "reason": shown,
        "caused_by": {"reason": shown},
        "failed_shards": [shown],
    }
    hits = {"hits": [{"_source": {"error": said, "name": "sew"}}]}
    answer = {
        "error": failure,
        "responses": [
            {"error": failure, "status": 403},
            {"_shards": {"failed": 1, "failures": [failure]}, "hits": hits},
        ],
        "docs": [{"_id": "1", "error": failure}, {"_source": {"error": said}}],
    }
    assert redact_failures(answer, redactor("sew")) == {
        "error": redacted,
        "responses": [
            {"error": redacted, "status": 403},
            {"_shards": {"failed": 1, "failures": [redacted]}, "hits": hits},
        ],
        "docs": [{"_id": "1", "error": redacted}, {"_source": {"error": said}}],
    }
