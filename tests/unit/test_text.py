"""Rules for text: cleaning, cutting, plurals, widths, times and durations."""

import pytest

from kubectl_sew import text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x1b[31mb", "a\ufffd[31mb"),
        ("a\u202eb", "a\ufffdb"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("ä\U0001f600", "ä\U0001f600"),
    ],
)
def test_clean_text_holds_nothing_that_steers_a_terminal(given: str, shown: str) -> None:
    assert text.clean(given) == shown


def test_printable_text_keeps_what_is_named() -> None:
    assert text.printable("a\tb\nc\x07") == "a\ufffdb\ufffdc\ufffd"
    assert text.printable("a\tb\nc\x07", keep="\t") == "a\tb\ufffdc\ufffd"


def test_a_cut_text_is_as_long_as_is_allowed_and_marked() -> None:
    assert text.cut("abcd", 4) == "abcd"
    assert text.cut("abcde", 4) == "abc…"
    assert text.cut("\U0001f600" * 3, 4, text.utf16) == "\U0001f600…"
    assert text.cut("ää", 3, text.utf8) == "…"


def test_a_noun_follows_its_count() -> None:
    assert [text.plural(count, "event") for count in (0, 1, 2)] == ["events", "event", "events"]


@pytest.mark.parametrize(("given", "cells"), [("abc", 3), ("日本", 4), ("e\u0301", 1)])
def test_the_width_of_a_text_is_counted_in_cells(given: str, cells: int) -> None:
    assert text.width(given) == cells


@pytest.mark.parametrize(("given", "decoded"), [("YQ==", b"a"), ("Y\n Q==", b"a"), ("YQ", None), ("ä", None)])
def test_base64_is_read_whatever_blanks_are_in_it(given: str, decoded: bytes | None) -> None:
    assert text.decode_base64(given) == decoded


@pytest.mark.parametrize(
    ("seconds", "timespec", "written"),
    [
        (1767323045.999, "seconds", "2026-01-02T03:04:05Z"),
        (1767323045.5, "milliseconds", "2026-01-02T03:04:05.500Z"),
        (1767323045.5, "auto", "2026-01-02T03:04:05.500000Z"),
        (-1.0, "seconds", "1970-01-01T00:00:00Z"),
        (1e15, "seconds", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_written_in_utc_and_never_fails(seconds: float, timespec: str, written: str) -> None:
    assert text.rfc3339(seconds, timespec) == written


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2026-01-02T03:04:05Z", 1767323045.0),
        ("2026-01-02T04:04:05+01:00", 1767323045.0),
        ("2026-01-02T03:04:05", 1767323045.0),
        ("yesterday", None),
    ],
)
def test_a_time_without_an_offset_is_read_as_utc(given: str, seconds: float | None) -> None:
    assert text.parse_rfc3339(given) == seconds


@pytest.mark.parametrize(
    ("given", "seconds"), [("500ms", 0.5), ("2s", 2.0), ("1.5m", 90.0), ("72h", 259_200.0), ("1d", 86_400.0)]
)
def test_a_duration_is_read_in_seconds(given: str, seconds: float) -> None:
    assert text.parse_duration(given) == seconds


def test_a_bare_number_is_a_duration_only_where_its_unit_is_known() -> None:
    assert text.parse_duration("90", unit="s") == 90.0
    for given in ("90", "", "1w", "1m30s", "-1s"):
        with pytest.raises(ValueError, match="must be a duration"):
            text.parse_duration(given)


@pytest.mark.parametrize(("given", "seconds"), [("1m30s", 90.0), ("1.5h", 5400.0), ("250ms", 0.25), ("soon", 0.0)])
def test_a_duration_is_read_as_go_writes_it(given: str, seconds: float) -> None:
    assert text.parse_go_duration(given) == pytest.approx(seconds)


@pytest.mark.parametrize(("seconds", "spelled"), [(45, "45s"), (5400, "90m"), (7200, "2h"), (172_800, "2d"), (0, "0d")])
def test_a_span_is_spelled_in_the_largest_unit_that_is_exact(seconds: int, spelled: str) -> None:
    assert text.spell_exactly(seconds) == spelled
