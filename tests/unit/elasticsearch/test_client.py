"""What is said of an address of Elasticsearch that is none, and what kind of problem an error is."""

import subprocess
import sys

import elastic_transport as transport
import pytest

from kubectl_sew.elasticsearch.access import Access, ElasticsearchError, IndexProblem
from kubectl_sew.elasticsearch.client import Index, search_error
from kubectl_sew.elasticsearch.connection import refusal, unreachable
from kubectl_sew.elasticsearch.dialect import ELASTICSEARCH, OPENSEARCH, Dialect


@pytest.mark.parametrize(
    "url",
    [
        "elastic:hunter2@es:9200",
        "https:/elastic:hunter2@es",
        "ftp://elastic:hunter2@es",
        "https://elastic:hunter2@es:9200",
        "https://elastic:hunter2@[es",
        "https://elastic:hunter2@es:99999",
        "https://hunter2#x@es:9200",
        "https://hunter2?x@es:9200",
        "https://elastic:1/hunter2@es:9200",
        "",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_what_it_holds(url: str) -> None:
    with pytest.raises(ElasticsearchError) as refused:
        Index(Access((url,)), "events.*")
    assert "hunter2" not in str(refused.value)
    assert "Elasticsearch's URL" in str(refused.value)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (transport.ConnectionError("no route"), IndexProblem.UNREACHABLE),
        (transport.ConnectionTimeout("30 s"), IndexProblem.UNREACHABLE),
        (transport.TlsError("self-signed"), IndexProblem.UNREACHABLE),
        (transport.SerializationError("<html>"), IndexProblem.OTHER),
    ],
)
def test_an_error_of_the_client_is_one_of_a_few_problems(error: Exception, problem: IndexProblem) -> None:
    assert unreachable(error, "Elasticsearch at http://es:9200").problem is problem


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (401, IndexProblem.REFUSED),
        (403, IndexProblem.PRIVILEGE),
        (429, IndexProblem.OTHER),
        (503, IndexProblem.OTHER),
    ],
)
def test_an_answer_that_is_an_error_is_one_of_a_few_problems(status: int, problem: IndexProblem) -> None:
    body = {"error": {"type": "made_up", "reason": "so"}}
    assert refusal(status, body, ELASTICSEARCH, "http://es:9200", "events.*").problem is problem


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, "Unauthorized", "refuses our credentials (401)"),
        (406, {"error": "Content-Type header is not supported", "status": 406}, "answers 406: Content-Type header is"),
        (502, "", "answers 502"),
    ],
)
def test_an_error_of_opensearch_that_is_a_text_is_said_as_well(status: int, body: object, said: str) -> None:
    error = refusal(status, body, OPENSEARCH, "http://os:9200", "events.*")
    assert f"OpenSearch at http://os:9200 {said}" in str(error)


def test_refused_credentials_are_named_as_the_server_does_and_an_expired_key_as_such() -> None:
    reason = "unable to authenticate with provided credentials"
    error = {"reason": reason, "additional_unsuccessful_credentials": "API key: api key is expired"}
    said = str(refusal(401, {"error": error}, ELASTICSEARCH, "http://es:9200", "events.*"))
    assert said.endswith("check API key, user and password, or token: API key: api key is expired")
    said = str(refusal(401, {"error": {"reason": "token expired"}}, ELASTICSEARCH, "http://es:9200", "events.*"))
    assert said.endswith("or token: token expired")


@pytest.mark.parametrize("dialect", [ELASTICSEARCH, OPENSEARCH], ids=lambda dialect: dialect.product)
def test_a_missing_privilege_is_named_with_the_indices_that_it_is_needed_on(dialect: Dialect) -> None:
    error = {"type": "security_exception", "reason": "no permissions for [indices:data/read/search]"}
    said = str(refusal(403, {"error": error}, dialect, "http://es:9200", "events.*"))
    assert "on events.* " in said
    assert said.endswith("are needed: no permissions for [indices:data/read/search]")


def test_a_search_among_many_that_is_forbidden_misses_a_privilege() -> None:
    assert search_error({"type": "security_exception", "reason": "no"}, 403).problem is IndexProblem.PRIVILEGE


def test_connecting_loads_nothing_of_the_clients_asynchronous_half() -> None:
    code = """import sys
from kubectl_sew.elasticsearch.access import Access
from kubectl_sew.elasticsearch.client import Index
Index(Access(("http://es:9200",)), "events.*").close()
assert "elastic_transport" in sys.modules
assert "aiohttp" not in sys.modules
import aiohttp  # and whoever needs it finds it
"""
    subprocess.run([sys.executable, "-c", code], check=True)
