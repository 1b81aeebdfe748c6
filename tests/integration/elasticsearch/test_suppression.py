"""Exceptions on a real index: asked with the queries, counted by exception, judged once; a broken one stops nothing."""

from collections.abc import Mapping

import pytest

from kubectl_sew.exceptions import AcceptedException, ValidatedExceptions
from kubectl_sew.query import parse
from kubectl_sew.resource.exceptions import AlertException
from tests.integration.elasticsearch.harness import IngestHarness, ids

pytestmark = pytest.mark.server


def exception(name: str, selector: str, end: float | None = None) -> AcceptedException:
    return AcceptedException(AlertException(name, selector, 0.0, end), parse(selector))


def serve(harness: IngestHarness, *exceptions: AcceptedException) -> None:
    harness.poller.serve(harness.subscriptions, (), ValidatedExceptions(exceptions))


def dropped(harness: IngestHarness, webhook: str = "w") -> Mapping[str, int]:
    return next(row.dropped for row in harness.store.counters() if row.webhook == webhook)


def suppressed(harness: IngestHarness) -> dict[str, int]:
    return dict(harness.observer.suppressed)


def begin(harness: IngestHarness, *names: str) -> None:
    harness.index()
    harness.serve("type = waf", *names)
    harness.poll()


def test_what_an_exception_selects_is_counted_once_and_goes_to_nobody(harness: IngestHarness) -> None:
    begin(harness, "w", "v")
    serve(harness, exception("scanner", 'source_ip = "10.0.0.0/8"'), exception("host", "host = h1"))
    harness.write(range(3), host="h0")
    harness.write(range(10, 13), host="h1", source_ip="10.1.1.1")
    harness.write(range(20, 22), host="h1")
    harness.write(range(30, 32), type="alert", host="h1")
    harness.record_results()
    assert harness.got("w") == harness.got("v") == ids(0, 1, 2)
    assert suppressed(harness) == {"scanner": 3, "host": 5}
    assert dropped(harness, "w") == dropped(harness, "v") == {"suppressed": 5}
    serve(harness)
    harness.write([40], host="h1")
    harness.record_results()
    assert harness.got("w") == ids(0, 1, 2, 40)


def test_what_was_judged_at_the_head_is_not_judged_again_after_the_exception_ended(harness: IngestHarness) -> None:
    begin(harness)
    serve(harness, exception("night", "host = h1", end=harness.now + 5))
    harness.write([1], host="h1")
    harness.poll()
    serve(harness)
    harness.record_results()
    assert harness.count() == 0
    assert suppressed(harness) == {"night": 1}


def test_a_selector_that_the_mapping_cannot_answer_suppresses_nothing_and_is_reported(harness: IngestHarness) -> None:
    begin(harness)
    serve(harness, exception("odd", "nowhere = 1"), exception("host", "host = h1"))
    harness.write([1], host="h1")
    harness.write([2])
    harness.record_results()
    assert harness.got() == ids(2)
    assert list(harness.poller.broken_exceptions) == ["odd"]
    assert "AlertException odd suppresses nothing: the mapping cannot answer its selector" in harness.message()


def test_more_exceptions_than_fit_into_one_search_all_hold(harness: IngestHarness) -> None:
    begin(harness)
    many = [exception(f"e{part}", f"host IN {{{', '.join(f'h{part}x{n}' for n in range(300))}}}") for part in range(5)]
    wide = [exception(f"w{part}", " OR ".join(f'host = "h{part}y{n}"' for n in range(400))) for part in range(4)]
    serve(harness, *many, *wide)
    for part in range(5):
        harness.write([f"a{part}"], host=f"h{part}x299")
    for part in range(4):
        harness.write([f"b{part}"], host=f"h{part}y399")
    harness.write(["c"], host="other")
    harness.record_results()
    assert harness.got() == ids("c")
    assert suppressed(harness) == dict.fromkeys([*(one.name for one in many), *(one.name for one in wide)], 1)


def test_a_backfill_leaves_out_what_is_suppressed_now(harness: IngestHarness) -> None:
    harness.index()
    harness.write([1], host="h1")
    harness.write([2], host="h2")
    harness.now += 60
    harness.poll()
    harness.serve("type = waf", start=harness.now - 3600)
    serve(harness, exception("host", "host = h1"))
    harness.record_results()
    assert harness.got() == ids(2)
    assert suppressed(harness) == {"host": 1}
