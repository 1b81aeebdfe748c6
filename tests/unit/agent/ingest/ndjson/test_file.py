"""The file source: every event of the file, whatever happens to the file."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from kubectl_sew.event_maps.event_map import read_maps
from kubectl_sew.event_maps.readable import EVENT_MAPS, EventMaps
from kubectl_sew.query import ANY, parse
from kubectl_sew.samples import sample
from kubectl_sew.text import rfc3339
from sew_agent.ingest.ndjson import line_ids, page, rotation
from sew_agent.ingest.ndjson.file import NdjsonFile
from sew_agent.ingest.source import Batch, SourceError, Subscription
from tests.fuzz.event_lines import fuzz

ALL = [Subscription("all", parse("type = waf OR NOT type = waf"))]
WAF = [Subscription("waf", parse("type = waf"))]


def line(number: int, **fields: object) -> str:
    return json.dumps({"_id": f"e{number}", "type": "waf", "number": number, **fields}) + "\n"


OPENED: list[NdjsonFile] = []


def source_of(path: Path, *, whole: bool = False) -> NdjsonFile:
    OPENED.append(NdjsonFile(path, ANY, whole=whole))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def close_files() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


OTHER_TOOLS = {
    "falco": "2026-03-02T09:14:05Z",
    "falcosidekick": "2026-03-02T09:31:44Z",
    "suricata": "2026-03-02T09:24:37Z",
    "ecs": "2026-03-02T09:41:12Z",
    "kibana": "2026-03-02T09:50:03Z",
}


def times(path: Path, maps: EventMaps) -> list[str | None]:
    with closing(NdjsonFile(path, ANY, maps)) as source:
        arrivals = source.read(ALL, None, now=0.0, limit=10).arrivals
    return [None if arrival.time is None else rfc3339(arrival.time) for arrival in arrivals]


def test_an_event_of_another_tool_is_dated_by_the_map_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("".join(json.dumps(sample(kind)) + "\n" for kind in OTHER_TOOLS))
    assert times(path, EVENT_MAPS) == list(OTHER_TOOLS.values())


def test_an_event_is_dated_by_a_map_of_ones_own_and_by_the_field_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text(line(1, gw={"rule": "r", "at": 1_772_442_845_408}) + line(2, seen="2026-03-02T09:00:00Z") + line(3))
    own = read_maps("recognised_by: gw.rule\ntitle: gw.rule\ntime: gw.at\n", "map.yaml")
    assert times(path, EventMaps(own)) == ["2026-03-02T09:14:05Z", None, None]
    assert times(path, EventMaps((), "seen")) == [None, "2026-03-02T09:00:00Z", None]


class FileReader:
    """Reads as the poller does: keeps its position, over restarts of the source too."""

    def __init__(self, path: Path, *, whole: bool = False, limit: int = 1000) -> None:
        self.path, self.whole, self.limit = path, whole, limit
        self.source = source_of(path, whole=whole)
        self.position: str | None = None
        self.now = 0.0
        self.warnings: list[str] = []

    def restart(self) -> None:
        self.source.close()
        self.source = source_of(self.path, whole=self.whole)

    def page(self) -> Batch:
        batch = self.source.read(ALL, self.position, now=self.now, limit=self.limit)
        self.position = batch.position
        self.warnings += [warning.text for warning in batch.warnings]
        return batch

    def ids(self) -> list[str]:
        """Read until nothing more can be read now."""
        ids: list[str] = []
        for _ in range(1000):
            batch = self.page()
            ids += [arrival.event.id for arrival in batch.arrivals]
            if batch.done:
                return ids
        raise AssertionError("the source never caught up")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "events.ndjson"
    file.write_text(line(1) + line(2) + line(3))
    return file


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def bare(number: int) -> str:
    """A line without an id of its own."""
    return json.dumps({"type": "waf", "number": number}) + "\n"


def rotate_by_copy(path: Path, *, between: Callable[[], object] = lambda: None) -> None:
    """Rotate by copying and truncating; `between` is called in the moment between them."""
    for number in (3, 2, 1):
        old = path.with_name(f"{path.name}.{number}")
        if old.exists():
            old.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.with_name(f"{path.name}.1").write_bytes(path.read_bytes())
    between()
    os.truncate(path, 0)


def rotate(path: Path, text: str, *, at: int = 1000) -> None:
    """Rotate as logrotate does: `.1` is the newest of the old ones."""
    for number in (3, 2, 1):
        old = path.with_name(f"{path.name}.{number}")
        if old.exists():
            old.rename(path.with_name(f"{path.name}.{number + 1}"))
    os.utime(path, (at, at))
    path.rename(path.with_name(f"{path.name}.1"))
    path.write_text(text)


def test_a_file_is_read_from_its_beginning_whatever_the_events_times(path: Path) -> None:
    append(path, line(4, time=0) + line(5, time="2199-01-01T00:00:00Z"))
    assert FileReader(path).ids() == ["e1", "e2", "e3", "e4", "e5"]


def test_growth_is_followed_without_a_duplicate(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    append(path, line(4))
    assert reader.ids() == ["e4"]
    assert reader.ids() == []


def test_a_restart_goes_on_at_the_stored_position(path: Path) -> None:
    reader = FileReader(path, limit=2)
    reader.ids()
    append(path, line(4) + "oops\n")
    reader.restart()
    assert reader.ids() == ["e4"]
    assert "line 5: not JSON" in reader.warnings[0]


def test_a_position_of_an_earlier_version_is_gone_on_with(path: Path) -> None:
    rotate(path, path.read_text())
    os.utime(path.with_name("events.ndjson.1"), (10**9, 10**9))
    os.utime(path, (10**9 + 60, 10**9 + 60))
    reader = FileReader(path)
    reader.position = '{"inode": 0, "generation": 0, "offset": 126, "line": 3, "before": "c13ffae12fb9e293"}'
    append(path, line(4))
    assert reader.ids() == ["e4"]
    rotate(path, line(5), at=2_000_000_000)
    for name, rotated_at in (("2", 0), ("3", 1)):
        other = path.with_name(f"events.ndjson.{name}")
        other.write_text(line(10 + rotated_at))
        os.utime(other, ns=(0, 2 * 10**18 + rotated_at))
    assert reader.ids() == ["e11", "e5"]


def test_a_reader_that_begins_later_has_the_same_ids(path: Path) -> None:
    path.write_text(bare(1))
    reader = FileReader(path)
    reader.ids()
    rotate(path, bare(1) + bare(2))
    late = FileReader(path)
    late.source = reader.source
    after = reader.ids()
    assert late.ids() == after


def test_a_page_holds_at_most_the_limit_and_the_next_one_goes_on(path: Path) -> None:
    reader = FileReader(path, limit=2)
    assert [len(reader.page().arrivals) for _ in range(3)] == [2, 1, 0]


def test_an_event_names_only_the_webhooks_whose_queries_select_it(path: Path) -> None:
    append(path, line(4, type="gtf_new_process"))
    batch = source_of(path).read(ALL + WAF, None, now=0.0, limit=10)
    assert [arrival.webhooks for arrival in batch.arrivals] == [("all", "waf")] * 3 + [("all",)]


def test_a_half_written_line_waits_for_its_end(path: Path) -> None:
    whole = line(4)
    append(path, whole[:10])
    reader = FileReader(path)
    assert reader.ids() == ["e1", "e2", "e3"]
    append(path, whole[10:])
    assert reader.ids() == ["e4"]
    assert reader.warnings == []


@pytest.mark.parametrize(("rest", "ids"), [(line(4).strip(), ["e4"]), (line(4)[:10], [])])
def test_read_once_a_last_line_without_line_break_counts_only_as_a_whole_object(
    path: Path, rest: str, ids: list[str]
) -> None:
    append(path, rest)
    assert FileReader(path, whole=True).ids() == ["e1", "e2", "e3", *ids]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_a_renamed_file_is_finished_before_the_new_one(path: Path, *, restart: bool) -> None:
    reader = FileReader(path)
    reader.ids()
    append(path, line(4) + line(5).strip())
    path.rename(path.with_name("events.ndjson.1"))
    path.write_text(line(6))
    if restart:
        reader.restart()
    assert reader.ids() == ["e4", "e5", "e6"]


def test_a_renamed_file_is_followed_until_the_new_one_has_content(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    path.rename(old := path.with_name("events.ndjson-20260101"))
    path.touch()
    append(old, line(4))
    assert reader.ids() == ["e4"]
    reader.now = 100.0
    assert reader.ids() == []
    append(old, line(5))
    append(path, line(6))
    assert reader.ids() == ["e5", "e6"]


def test_a_renamed_file_is_followed_while_there_is_no_new_one(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    path.rename(old := path.with_name("events.ndjson.1"))
    append(old, line(4))
    assert reader.ids() == ["e4"]
    path.write_text(line(5))
    assert reader.ids() == ["e5"]
    path.unlink()
    append(old, line(6))
    assert reader.ids() == ["e6"]


@pytest.mark.parametrize("last", ["", line(5)], ids=["the last one empty", ""])
def test_files_that_were_rotated_away_meanwhile_are_read_in_their_order(path: Path, last: str) -> None:
    reader = FileReader(path)
    reader.ids()
    path.rename(path.with_name("events.ndjson.2"))
    os.utime(path.with_name("events.ndjson.2"), (100, 100))
    path.with_name("events.ndjson.1").write_text(line(4))
    os.utime(path.with_name("events.ndjson.1"), (200, 200))
    path.write_text(last)
    reader.restart()
    assert reader.ids() == ["e4", "e5"][: 2 if last else 1]


@pytest.mark.parametrize(("before", "read"), [(3600, ["e4"]), (3601, [])])
@pytest.mark.parametrize("gone", [False, True])
def test_a_rotated_file_that_is_much_older_than_what_was_read_was_put_there_by_a_person(
    path: Path, before: int, read: list[str], *, gone: bool
) -> None:
    os.utime(path, (1000, 1000))
    reader = FileReader(path)
    reader.ids()
    append(path, line(3))
    os.utime(path, (10_000, 10_000))
    reader.ids()
    rotate(path, line(5), at=10_000)
    path.with_name("events.ndjson.7").write_text(line(4))
    os.utime(path.with_name("events.ndjson.7"), (10_000 - before, 10_000 - before))
    if gone:
        path.with_name("events.ndjson.1").unlink()
        reader.restart()
    assert reader.ids() == [*read, "e5"]


def test_one_that_is_put_beside_a_file_that_is_still_empty_is_no_later_one(path: Path) -> None:
    path.write_text("")
    reader = FileReader(path)
    reader.ids()
    old = path.with_name("events.ndjson.1")
    old.write_text(line(1))
    os.utime(old, (1000, 1000))
    append(path, line(2))
    assert reader.ids() == ["e2"]


def test_a_file_that_was_empty_when_it_was_deleted_is_not_taken_for_its_successor(path: Path) -> None:
    os.truncate(path, 0)
    reader = FileReader(path)
    assert reader.ids() == []
    path.with_name("events.ndjson.1").write_text(line(4))
    path.with_name("new").write_text(line(5))
    path.with_name("new").rename(path)
    reader.restart()
    assert reader.ids() == ["e4", "e5"]


def test_an_empty_file_that_is_written_to_after_its_rotation_is_read_once(path: Path) -> None:
    os.truncate(path, 0)
    reader = FileReader(path)
    ids = reader.ids()
    path.rename(path.with_name("events.ndjson.1"))
    path.write_text(bare(1))
    ids += reader.ids()
    append(path.with_name("events.ndjson.1"), bare(2))
    ids += reader.ids()
    rotate(path, bare(3), at=int(path.stat().st_mtime))
    assert len(ids + reader.ids()) == 3


def test_a_file_that_was_truncated_and_rotated_while_nobody_read_is_read_whole(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    os.truncate(path, 0)
    append(path, line(4))
    rotate(path, line(5), at=2_000_000_000)
    reader.restart()
    assert reader.ids() == ["e4", "e5"]


def test_a_rotated_file_with_the_inode_of_a_deleted_one_is_read(path: Path) -> None:
    rotate(path, line(4))
    reader = FileReader(path)
    assert reader.ids() == ["e4"]
    path.with_name("events.ndjson.1").write_text(line(5))
    rotate(path, line(6), at=int(path.stat().st_mtime))
    assert sorted(reader.ids()) == ["e5", "e6"]


def test_few_files_are_kept_open_and_a_position_stays_short(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    lengths = []
    for number in range(12):
        rotate(path, line(10 + number))
        assert reader.ids() == [f"e{10 + number}"]
        lengths.append(len(reader.position or ""))
    files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert len([file for file in files if file.startswith(str(path))]) == 8
    assert lengths[-1] < lengths[5] + 50


def test_a_deleted_file_that_is_still_open_is_finished(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    append(path, line(4))
    path.unlink()
    path.write_text(line(5))
    assert reader.ids() == ["e4", "e5"]


@pytest.mark.parametrize("count", [1, 50], ids=["shorter", "longer than before"])
def test_a_truncated_file_is_read_from_its_new_beginning(path: Path, count: int) -> None:
    reader = FileReader(path)
    reader.ids()
    os.truncate(path, 0)
    append(path, "".join(line(10 + number) for number in range(count)))
    assert reader.ids() == [f"e{10 + number}" for number in range(count)]


def test_a_file_that_is_truncated_and_grows_again_while_it_is_read_is_read_from_its_new_beginning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = FileReader(path)
    reader.ids()
    append(path, line(4) + line(5))
    parse_line = page.parse_line

    def truncate_once(text: bytes) -> object:
        monkeypatch.setattr(page, "parse_line", parse_line)
        os.truncate(path, 0)
        append(path, "".join(line(number) for number in range(10, 60)))
        return parse_line(text)

    monkeypatch.setattr(page, "parse_line", truncate_once)
    read = reader.ids()
    assert read[0] == "e4"
    assert [f"e{number}" for number in range(10, 60)] == [name for name in read if int(name[1:]) >= 10][-50:]


def test_a_copy_that_was_made_before_truncation_is_finished(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    append(path, line(4))
    path.with_name("events.ndjson.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    append(path, line(5))
    assert reader.ids() == ["e4", "e5"]


@pytest.mark.parametrize("before", [0, 3])
def test_a_copy_of_a_file_that_was_empty_when_it_was_read_last_is_read(path: Path, before: int) -> None:
    path.write_text("".join(line(number) for number in range(before)))
    reader = FileReader(path)
    reader.ids()
    os.truncate(path, 0)
    assert reader.ids() == []
    append(path, line(4))
    path.with_name("events.ndjson.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    append(path, line(5))
    reader.restart()
    assert reader.ids() == ["e4", "e5"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("not json", "not JSON"),
        ("[1, 2]", "it must be a JSON object, but is a list"),
        ("null", "it must be a JSON object, but is null"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1e999}', "a number too large"),
        ('{"a": %s}' % ("9" * 5000), "a number too large"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than 100 levels"),
        ('{"a": ' + "[" * 150 + "]" * 150 + "}", "nested deeper than 100 levels"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_a_line_that_is_no_event_is_named_by_its_number_and_the_next_goes_on(path: Path, bad: str, why: str) -> None:
    with path.open("ab") as file:
        file.write(bad.encode("utf-8", "surrogateescape") + b"\n" + line(5).encode())
    reader = FileReader(path)
    assert reader.ids() == ["e1", "e2", "e3", "e5"]
    assert len(reader.warnings) == 1
    assert "line 4: " in reader.warnings[0]
    assert why in reader.warnings[0]


def test_blank_lines_are_nothing(path: Path) -> None:
    append(path, "\n  \r\n" + line(4))
    reader = FileReader(path)
    assert reader.ids() == ["e1", "e2", "e3", "e4"]
    assert reader.warnings == []


def test_a_line_of_20_megabytes_is_an_event(path: Path) -> None:
    append(path, line(4, text="x" * 20_000_000) + line(5))
    assert FileReader(path).ids() == ["e1", "e2", "e3", "e4", "e5"]


def test_a_line_longer_than_any_event_is_named_and_left_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sew_agent.ingest.ndjson.file.LONGEST_LINE", 1000)
    append(path, line(4, text="x" * 5000) + line(5))
    reader = FileReader(path)
    assert reader.ids() == ["e1", "e2", "e3", "e5"]
    assert "line 4: longer than" in reader.warnings[0]


def test_the_id_is_that_of_the_document_else_the_events_else_its_texts_hash(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('{"_id": "a", "id": "b"}\n{"id": 7}\n{"type": "waf"}\n')
    first, second, third = FileReader(path).ids()
    assert (first, second) == ("a", "7")
    assert len(third) == 66


def test_a_query_finds_the_identity_under_its_one_name(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('{"id": "b"}\n{"id": "c"}\n')
    batch = source_of(path).read([Subscription("w", parse("_id = b"))], None, now=0.0, limit=10)
    assert [arrival.event.id for arrival in batch.arrivals] == ["b"]
    assert batch.arrivals[0].event.fields() == {"id": "b"}


def test_equal_lines_without_id_are_events_of_their_own_with_the_same_ids_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": 1}\n')
    whole = FileReader(path).ids()
    assert len(set(whole)) == 3
    split = FileReader(path, limit=1)
    ids = []
    for _ in whole:
        ids += [arrival.event.id for arrival in split.page().arrivals]
        split.restart()
    assert ids == whole


def test_a_page_that_is_read_again_has_the_same_ids(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('{"a": 1}\n' * 3)
    reader = FileReader(path)
    first = reader.ids()
    reader.position = None
    assert reader.ids() == first


def test_an_equal_line_in_a_file_that_came_after_is_another_event(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('{"a": 1}\n')
    reader = FileReader(path)
    before = reader.ids()
    path.rename(path.with_name("e.1"))
    path.write_text('{"a": 1}\n{"a": 2}\n')
    after = reader.ids()
    assert len({*before, *after}) == 3


def test_an_equal_line_is_another_event_where_the_file_was_truncated_while_it_was_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(bare(1) + bare(2))
    reader = FileReader(path)
    parse_line = page.parse_line

    def truncate_once(text: bytes) -> object:
        monkeypatch.setattr(page, "parse_line", parse_line)
        os.truncate(path, 0)
        append(path, bare(1))
        return parse_line(text)

    monkeypatch.setattr(page, "parse_line", truncate_once)
    read = reader.ids()
    assert len(read) == len(set(read)) == 3


def test_equal_lines_are_events_of_their_own_though_another_reader_counted_a_copy_as_a_file(tmp_path: Path) -> None:
    """The one counts the text of a file as the third, for the other an earlier text of the same file was the third."""
    path = tmp_path / "events.ndjson"
    path.write_text(bare(1))
    one, other = FileReader(path), FileReader(path)
    other.source = one.source
    one.ids(), other.ids()
    rotate(path, bare(2))
    rotate_by_copy(path, between=other.ids)
    for lines in ([bare(number) for number in range(10, 20)], [bare(4)] * 3):
        append(path, "".join(lines))
        one.now = other.now = one.now + 40.0
        read = one.ids()
        assert len(set(read[-len(lines) :])) == len(lines)
        other.ids()
        rotate_by_copy(path)


def test_a_file_that_has_a_second_name_is_read_once(path: Path) -> None:
    path.write_text("")
    reader = FileReader(path)
    reader.ids()
    os.link(path, path.with_name("events.ndjson.1"))
    append(path, bare(1))
    assert len(reader.ids()) == 1


def test_a_reader_has_reached_another_when_it_stands_at_or_beyond_it(path: Path) -> None:
    ahead, behind = FileReader(path), FileReader(path, limit=1)
    ahead.ids()
    behind.page()
    assert ahead.position
    assert behind.position
    assert not behind.source.reached(behind.position, ahead.position)
    behind.ids()
    assert behind.source.reached(behind.position, ahead.position)


def test_a_missing_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no events file .*nowhere"):
        source_of(tmp_path / "nowhere").read(ALL, None, now=0.0, limit=1)


def test_a_file_that_vanishes_and_comes_back_is_gone_on_with(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    content = path.read_bytes()
    path.unlink()
    reader.restart()
    with pytest.raises(SourceError):
        reader.page()
    path.write_bytes(content + line(4).encode())
    assert reader.ids() == ["e4"]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("backup", [False, True], ids=["", "with a backup"])
def test_a_file_that_is_replaced_by_a_longer_copy_of_itself_is_gone_on_with(
    path: Path, *, restart: bool, backup: bool
) -> None:
    path.write_text("".join(bare(number) for number in range(20)))
    reader = FileReader(path)
    assert len(reader.ids()) == 20
    for number in range(3):
        copy = path.with_name("copy")
        copy.write_text(path.read_text() + bare(20 + number))
        if backup:
            path.rename(path.with_name("events.ndjson~"))
        copy.rename(path)
        if restart:
            reader.restart()
        assert len(reader.ids()) == 1


def test_a_replaced_file_that_has_what_was_not_read_yet_gives_it_once(path: Path) -> None:
    path.write_text(bare(1) + bare(2))
    reader = FileReader(path)
    reader.ids()
    append(path, bare(3) + bare(4)[:8])
    path.with_name("copy").write_text(path.read_text() + bare(4)[8:] + bare(5))
    path.with_name("copy").rename(path)
    assert len(reader.ids()) == 3
    assert reader.warnings == []


@pytest.mark.parametrize("size", [1, 2**20])
def test_a_copy_that_goes_on_in_another_way_is_another_file(path: Path, size: int) -> None:
    reader = FileReader(path)
    reader.ids()
    more = line(4, text="x" * size)
    path.with_name("copy").write_text(path.read_text() + more + line(6))
    append(path, more + line(5))
    path.with_name("copy").rename(path)
    assert reader.ids() == ["e4", "e5", "e1", "e2", "e3", "e4", "e6"]


def test_another_file_in_the_place_of_a_deleted_one_is_read_whole(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    append(path, line(4))
    path.with_name("copy").write_text("".join(line(10 + number) for number in range(9)))
    path.with_name("copy").rename(path)
    assert reader.ids() == ["e4", *(f"e{10 + number}" for number in range(9))]


def test_rotated_files_are_read_although_the_one_that_was_read_last_is_deleted(path: Path) -> None:
    rotate(path, line(4))
    reader = FileReader(path)
    assert reader.ids() == ["e4"]
    rotate(path, line(5), at=2_000_000_000)
    rotate(path, line(6), at=2_000_000_001)
    rotate(path, line(7), at=2_000_000_002)
    path.with_name("events.ndjson.3").unlink()
    reader.restart()
    assert reader.ids() == ["e5", "e6", "e7"]


@pytest.mark.parametrize("dated", [False, True])
def test_files_rotated_within_one_second_are_all_read_in_their_order(path: Path, *, dated: bool) -> None:
    reader = FileReader(path)
    reader.ids()
    for number in (4, 5, 6):
        rotate(path, line(number), at=2_000_000_000)
        if dated:
            path.with_name("events.ndjson.1").rename(path.with_name(f"events.ndjson-2026010{number}"))
    reader.restart()
    assert reader.ids() == ["e4", "e5", "e6"]


def test_an_old_file_that_is_touched_is_not_read_again(path: Path) -> None:
    rotate(path, line(4))
    reader = FileReader(path)
    assert reader.ids() == ["e4"]
    rotate(path, line(5), at=2_000_000_000)
    os.utime(path.with_name("events.ndjson.2"), (2_000_000_001, 2_000_000_001))
    assert reader.ids() == ["e5"]
    rotate(path, line(6), at=2_000_000_002)
    os.utime(path.with_name("events.ndjson.2"), (2_000_000_003, 2_000_000_003))
    os.utime(path.with_name("events.ndjson.3"), (2_000_000_003, 2_000_000_003))
    reader.restart()
    assert reader.ids() == ["e6"]


def test_the_target_of_a_link_is_followed_through_its_rotation_while_nobody_reads(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    link = folder / "current"
    link.symlink_to(path)
    reader = FileReader(link)
    reader.ids()
    append(path, line(4))
    rotate(path, line(5), at=2_000_000_000)
    rotate(path, line(6), at=2_000_000_001)
    reader.restart()
    assert reader.ids() == ["e4", "e5", "e6"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_renamed_to_any_name_is_finished_after_a_restart(path: Path, *, replaced: bool) -> None:
    reader = FileReader(path)
    reader.ids()
    if replaced:
        path.with_name("copy").write_bytes(path.read_bytes())
        path.with_name("copy").rename(path)
        assert reader.ids() == []
    append(path, line(4))
    path.rename(path.with_name("old events"))
    path.write_text(line(5))
    reader.restart()
    assert reader.ids() == ["e4", "e5"]


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_what_a_second_writer_adds_to_the_renamed_file_is_read_for_half_a_minute(path: Path, *, restart: bool) -> None:
    reader = FileReader(path)
    reader.ids()
    rotate(path, line(4))
    old = path.with_name("events.ndjson.1")
    assert reader.ids() == ["e4"]
    append(old, line(5) + line(6)[:9])
    append(path, line(7))
    if restart:
        reader.restart()
    assert reader.ids() == ["e5", "e7"]
    append(old, line(6)[9:])
    reader.now = 29.0
    assert reader.ids() == ["e6"]
    append(old, line(8)[:9])
    reader.now = 30.0
    assert reader.ids() == []
    assert len(reader.warnings) == 1
    append(old, line(9))
    assert reader.ids() == []


def test_a_second_writer_is_waited_for_although_the_new_file_is_truncated(path: Path) -> None:
    reader = FileReader(path)
    reader.ids()
    rotate(path, line(4))
    assert reader.ids() == ["e4"]
    os.truncate(path, 0)
    append(path, line(5, more=True))
    assert reader.ids() == ["e5"]
    append(path.with_name("events.ndjson.1"), line(6))
    assert reader.ids() == ["e6"]
    path.with_name("events.ndjson.1").unlink()
    append(path, line(7))
    reader.restart()
    assert reader.ids() == ["e7"]


def test_a_reader_that_has_more_to_read_of_the_renamed_file_has_not_reached_the_other(path: Path) -> None:
    ahead, behind = FileReader(path), FileReader(path)
    ahead.ids(), behind.ids()
    rotate(path, "")
    append(path, line(4))
    ahead.ids()
    assert ahead.position
    assert behind.position
    assert not behind.source.reached(behind.position, ahead.position)
    behind.ids()
    append(path.with_name("events.ndjson.1"), line(5))
    ahead.ids()
    assert not behind.source.reached(behind.position, ahead.position)
    assert behind.ids() == ["e5"]
    assert behind.source.reached(behind.position, ahead.position)


def test_a_reader_that_missed_a_replacement_before_a_rotation_has_not_reached_the_other(path: Path) -> None:
    ahead, behind = FileReader(path), FileReader(path)
    ahead.ids(), behind.ids()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    append(path, line(4))
    assert ahead.ids() == ["e4"]
    path.rename(path.with_name("events.ndjson.1"))
    append(path, line(5))
    assert ahead.ids() == ["e5"]
    assert ahead.position
    read: list[str] = []
    for _ in range(5):
        read += [arrival.event.id for arrival in behind.page().arrivals]
        if behind.source.reached(behind.position or "", ahead.position):
            break
    assert read == ["e4", "e5"]


@pytest.mark.parametrize("begun", [False, True], ids=["at the first read", "later"])
def test_files_that_are_renamed_while_they_are_listed_are_not_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    rotated = [path.with_name(f"events.ndjson.{number}") for number in range(1, 9)]
    for number, old in enumerate(rotated):
        old.write_text(line(100 + number))
    reader = FileReader(path)
    if begun:
        assert reader.ids() == ["e1", "e2", "e3"]
        rotate(path, line(4))
    opened = rotation._open

    def renaming(wanted: Path) -> BinaryIO | None:
        if wanted in rotated:
            monkeypatch.setattr(rotation, "_open", opened)
            for number in range(12, 0, -1):
                old = path.with_name(f"events.ndjson.{number}")
                if old.exists():
                    old.rename(path.with_name(f"events.ndjson.{number + 1}"))
        return opened(wanted)

    monkeypatch.setattr(rotation, "_open", renaming)
    assert reader.ids() == (["e4"] if begun else ["e1", "e2", "e3"])
    append(path, line(5))
    rotate(path, line(6))
    assert reader.ids() == ["e5", "e6"]


def test_a_copy_that_is_made_while_its_file_is_begun_came_after(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FileReader(path)
    reader.ids()
    path.rename(path.with_name("events.ndjson.1"))
    append(path, line(4))
    opened = rotation._open

    def rotating(wanted: Path) -> BinaryIO | None:
        if wanted == path:
            monkeypatch.setattr(rotation, "_open", opened)
            path.with_name("events.ndjson.1").rename(path.with_name("events.ndjson.2"))
            path.with_name("events.ndjson.1").write_bytes(path.read_bytes())
            os.truncate(path, 0)
            append(path, line(5))
        return opened(wanted)

    reader.source.close()
    reader.source = source_of(path)
    monkeypatch.setattr(rotation, "_open", rotating)
    reader.page()
    assert [arrival.event.id for arrival in reader.page().arrivals] == ["e4"]
    append(path.with_name("events.ndjson.2"), line(6))
    assert reader.ids() == ["e6", "e5"]


def test_readers_that_are_files_apart_number_each_line_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[bytes] = []

    def digest_of(text: bytes) -> bytes:
        counted.append(text)
        return line_ids.digest_of(text)

    monkeypatch.setattr("sew_agent.ingest.ndjson.page.digest_of", digest_of)
    path.write_text("".join(bare(number) for number in range(100)))
    reader = FileReader(path, limit=10)
    first = reader.page().position
    for _ in range(2):
        rotate(path, bare(200))
        reader.ids()
    behind = FileReader(path, limit=10)
    behind.source, behind.position = reader.source, first
    counted.clear()
    for _ in range(9):
        behind.page()
        reader.page()
    assert len(counted) <= 2 * 100


def test_numbering_lines_again_after_a_restart_is_a_sign_of_life_however_many_there_are(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("".join(bare(number) for number in range(100)))
    reader = FileReader(path)
    reader.ids()
    append(path, bare(200))
    beats = list[None]()
    monkeypatch.setattr("sew_agent.ingest.ndjson.file._LINES_BETWEEN_BEATS", 10)
    source = NdjsonFile(path, ANY, beat=lambda: beats.append(None))
    OPENED.append(source)
    assert len(source.read(ALL, reader.position, now=0.0, limit=1000).arrivals) == 1
    assert len(beats) == 10


def test_every_event_comes_once_however_the_file_is_written_rotated_replaced_and_read() -> None:
    fuzz(250, seed=1)
