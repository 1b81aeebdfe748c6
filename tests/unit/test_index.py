"""What is said of an address of Elasticsearch that is none."""

import pytest

from kubectl_sew.index import Access, ElasticsearchError, Index


@pytest.mark.parametrize(
    "url",
    [
        "elastic:hunter2@es:9200",
        "https:/elastic:hunter2@es",
        "ftp://elastic:hunter2@es",
        "https://elastic:hunter2@es:9200",
        "https://elastic:hunter2@[es",
        "https://elastic:hunter2@es:99999",
        "",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_what_it_holds(url: str) -> None:
    with pytest.raises(ElasticsearchError) as refused:
        Index(Access((url,)), "events.*")
    assert "hunter2" not in str(refused.value)
    assert "Elasticsearch's URL" in str(refused.value)
