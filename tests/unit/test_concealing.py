"""What a server repeats of a credential is taken out of what it says of failures, and out of nothing else."""

from base64 import b64encode

import pytest

from kubectl_sew.concealing import HIDDEN, conceal_failures, concealer

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
    assert concealer(ENCODED, "sew", "pass word", "sew:pass word", "")(said) == shown


def test_without_credentials_nothing_is_hidden() -> None:
    assert concealer("", "")("a  b") == "a  b"


def test_failures_are_concealed_wherever_elasticsearch_tells_them_and_documents_are_left_alone() -> None:
    said, shown = "user [sew]", f"user [{HIDDEN}]"
    failure = {"type": "security_exception", "reason": said, "caused_by": {"reason": said}, "failed_shards": [said]}
    concealed = {
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
    assert conceal_failures(answer, concealer("sew")) == {
        "error": concealed,
        "responses": [
            {"error": concealed, "status": 403},
            {"_shards": {"failed": 1, "failures": [concealed]}, "hits": hits},
        ],
        "docs": [{"_id": "1", "error": concealed}, {"_source": {"error": said}}],
    }
