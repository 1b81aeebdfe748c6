"""Webhooks from manifests on disk: what takes effect, and what an accident must not delete."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubectl_sew.errors import SewError
from sew_agent.webhooks.base import Snapshot
from sew_agent.webhooks.files import FileWebhooks

SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {url: https://example.com}\n"


def manifest(name: str, query: str = "type = waf") -> str:
    return f"""
apiVersion: projectcalico.org/v3
kind: SecurityEventWebhook
metadata: {{name: {name}}}
spec:
  consumer: Generic
  state: Enabled
  query: {query}
  config:
    - {{name: url, value: 'https://example.com'}}
"""


class Folder:
    """A folder of manifests and its source, checked a second later each time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 10_000_000_000.0
        self.source = FileWebhooks(path, secrets_namespace="tigera-intrusion-detection", clock=lambda: self.now)

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)

    def check(self) -> Snapshot:
        self.now += 1
        return self.source.snapshot()

    def names(self) -> list[str]:
        return sorted(self.check().webhooks)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "in").mkdir()
    made = Folder(tmp_path / "in")
    made.write("a.yaml", manifest("a"))
    made.check()
    return made


def test_new_changed_and_deleted_files_take_effect_at_the_next_check(folder: Folder) -> None:
    folder.write("deep/b.yml", manifest("b"))
    assert folder.names() == ["a", "b"]
    folder.write("a.yaml", manifest("a", "type = dns"))
    assert folder.check().webhooks["a"].query == "type = dns"
    (folder.path / "a.yaml").unlink()
    assert folder.names() == ["b"]
    assert folder.check().complete


def test_the_same_object_comes_back_while_nothing_changed(folder: Folder) -> None:
    assert folder.check() is folder.check()


def test_the_disk_is_not_read_more_often_than_needed(folder: Folder) -> None:
    folder.write("b.yaml", manifest("b"))
    folder.now += 0.1
    assert "b" not in folder.source.snapshot().webhooks


@pytest.mark.parametrize("content", ["", "a: [", "\x00", "- 1\n", manifest("a")[:70] + '"'])
def test_a_broken_or_empty_file_keeps_its_webhooks_and_says_so(folder: Folder, content: str) -> None:
    folder.write("b.yaml", manifest("b"))
    folder.check()
    folder.write("a.yaml", content)
    files = folder.check()
    assert sorted(files.webhooks) == ["a", "b"]
    assert len(files.problems) == 1
    assert "a.yaml" in files.problems[0]
    assert "what it held before is kept" in files.problems[0]
    folder.write("a.yaml", manifest("c"))
    files = folder.check()
    assert (sorted(files.webhooks), files.problems) == (["b", "c"], ())


def test_a_webhook_with_an_error_is_refused_by_name_and_the_others_go_on(folder: Folder) -> None:
    folder.write("b.yaml", manifest("b").replace("Enabled", "Sometimes"))
    files = folder.check()
    assert list(files.webhooks) == ["a"]
    assert "Sometimes" in files.refused["b"].message


@pytest.mark.parametrize("place", ["a.yaml", "b.yaml"], ids=["in one file", "in two files"])
def test_two_webhooks_of_one_name_are_both_refused(folder: Folder, place: str) -> None:
    folder.write("c.yaml", manifest("c"))
    before = (folder.path / place).read_text() if place == "a.yaml" else ""
    folder.write(place, before + "---" + manifest("a"))
    files = folder.check()
    assert list(files.webhooks) == ["c"]
    assert "two webhooks have the name" in files.refused["a"].message


def test_secrets_come_with_the_webhooks_and_do_not_show(folder: Folder) -> None:
    folder.write("s.yaml", SECRET)
    files = folder.check()
    assert files.secrets == {"s": {"url": b"https://example.com"}}
    assert "example.com" not in repr(files)


EXCEPTION = """\
apiVersion: projectcalico.org/v3
kind: AlertException
metadata: {name: quiet}
spec: {description: d, selector: type = waf, startTime: "2026-01-01T00:00:00Z"}
"""


def test_exceptions_stand_in_the_folder_beside_the_webhooks(folder: Folder) -> None:
    folder.write("quiet.yaml", EXCEPTION)
    assert list(folder.check().exceptions) == ["quiet"]
    folder.write("again.yaml", EXCEPTION)
    seen = folder.check()
    assert (seen.exceptions, list(seen.broken_exceptions)) == ({}, ["quiet"])
    folder.write("again.yaml", EXCEPTION.replace("quiet", "torn").replace("selector", "query"))
    seen = folder.check()
    assert (list(seen.exceptions), list(seen.broken_exceptions), seen.problems) == (["quiet"], ["torn"], ())
    folder.write("quiet.yaml", "")
    assert list(folder.check().exceptions) == ["quiet"]
    assert list(folder.check().webhooks) == ["a"]


def test_a_label_that_is_none_does_not_refuse_the_webhook(folder: Folder) -> None:
    annotated = manifest("a").replace("{name: a}", "{name: a, annotations: {webhooks.projectcalico.org/labels: oops}}")
    folder.write("a.yaml", annotated)
    assert folder.names() == ["a"]


def test_a_folder_that_vanishes_deletes_nothing(folder: Folder) -> None:
    aside = folder.path.with_name("aside")
    folder.path.rename(aside)
    files = folder.check()
    assert (list(files.webhooks), files.complete) == (["a"], False)
    assert "the last ones are kept" in files.problems[0]
    aside.rename(folder.path)
    files = folder.check()
    assert (list(files.webhooks), files.complete, files.problems) == (["a"], True, ())


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what takes from this process the right to list a folder, as `chmod` does for all but root."""
    locked: set[str] = set()
    listed = os.scandir

    def scan(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path) in locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scan)
    return lambda path: locked.add(str(path))


def test_a_folder_that_cannot_be_listed_stops_no_other_and_is_named(
    tmp_path: Path, lock: Callable[[Path], None]
) -> None:
    folder = Folder(tmp_path)
    folder.write("a.yaml", manifest("a"))
    folder.write("teamb/b.yaml", manifest("b"))
    lock(tmp_path / "teamb")
    files = folder.check()
    assert (list(files.webhooks), files.complete) == (["a"], False)
    (problem,) = files.problems
    assert problem.startswith(f"{tmp_path / 'teamb'} cannot be read: Permission denied: let the agent's user (uid ")
    assert "kept" not in problem
    assert folder.check() is files


def test_a_folder_that_cannot_be_listed_any_more_keeps_what_it_held(
    folder: Folder, lock: Callable[[Path], None]
) -> None:
    folder.write("teamb/b.yaml", manifest("b"))
    folder.check()
    lock(folder.path / "teamb")
    folder.write("c.yaml", manifest("c"))
    (folder.path / "a.yaml").unlink()
    files = folder.check()
    assert (sorted(files.webhooks), files.complete) == (["b", "c"], False)
    assert files.problems[0].endswith("; what it held before is kept")


def test_a_folder_that_cannot_be_listed_at_all_says_nothing_of_what_is_kept_where_there_is_nothing(
    tmp_path: Path, lock: Callable[[Path], None]
) -> None:
    lock(tmp_path)
    files = Folder(tmp_path).check()
    assert (list(files.webhooks), files.complete, len(files.problems)) == ([], False, 1)
    assert "kept" not in files.problems[0]


def test_where_a_folder_cannot_be_listed_at_the_start_nothing_is_taken_for_deleted_or_unmounted(
    tmp_path: Path, lock: Callable[[Path], None]
) -> None:
    folder = expecting(tmp_path)
    folder.write("a.yaml", manifest("a"))
    folder.write("teamb/b.yaml", manifest("b"))
    lock(tmp_path / "teamb")
    files = folder.check()
    assert (list(files.webhooks), files.complete, len(files.problems)) == (["a"], False, 1)


def test_a_file_that_cannot_be_looked_at_stops_no_other(folder: Folder) -> None:
    (folder.path / "b.yaml").symlink_to("b.yaml")
    files = folder.check()
    assert (list(files.webhooks), files.complete) == (["a"], False)
    assert files.problems[0].startswith(f"{folder.path / 'b.yaml'} cannot be read: Too many levels of symbolic links")


def test_an_empty_folder_on_another_device_was_unmounted(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("deep/b.yaml", manifest("b"))
    folder.check()
    (folder.path / "deep/b.yaml").unlink()
    monkeypatch.setattr(folder.source, "_devices", {folder.path: -1, folder.path / "deep": -1})
    files = folder.check()
    assert (sorted(files.webhooks), files.complete) == (["a", "b"], False)


def test_a_file_that_changes_without_a_new_time_stamp_is_noticed_while_it_is_young(folder: Folder) -> None:
    path = folder.path / "a.yaml"
    folder.now = path.stat().st_mtime
    folder.write("a.yaml", manifest("a", "type = dns"))
    folder.check()
    stamp = path.stat().st_mtime_ns
    folder.write("a.yaml", manifest("a", "type = waf"))
    os.utime(path, ns=(stamp, stamp))
    assert folder.check().webhooks["a"].query == "type = waf"


def test_a_mounted_volume_is_read_once_through_its_links(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a.yaml").write_text(manifest("a"))
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "loop").symlink_to(".")
    assert Folder(tmp_path).names() == ["a"]


def test_a_single_file_may_be_named(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(manifest("a"))
    checked = Folder(path)
    assert checked.names() == ["a"]
    path.unlink()
    assert checked.names() == []
    shutil.rmtree(tmp_path)
    assert checked.check().complete is False


def test_a_path_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SewError, match="there are no webhooks at"):
        Folder(tmp_path / "nowhere")


def referring(name: str) -> str:
    value = "valueFrom: {secretKeyRef: {name: s, key: url}}"
    return manifest(name).replace("value: 'https://example.com'", value)


@pytest.mark.parametrize("place", ["s.yaml", "t.yaml"], ids=["in one file", "in two files"])
def test_a_webhook_that_refers_to_one_of_two_secrets_of_one_name_is_refused(tmp_path: Path, place: str) -> None:
    folder = Folder(tmp_path)
    other = SECRET.replace("example.com", "elsewhere.example.com")
    folder.write("a.yaml", manifest("a") + "---" + referring("b"))
    folder.write("s.yaml", SECRET)
    folder.write(place, (SECRET + "---\n" if place == "s.yaml" else "") + other)
    files = folder.check()
    assert (list(files.webhooks), files.secrets) == (["a"], {})
    assert files.refused["b"].message.startswith("two Secrets have the name s, in ")
    assert "s.yaml and in " in files.refused["b"].message
    assert place in files.refused["b"].message
    folder.write(place, "kind: Other" if place == "t.yaml" else SECRET)
    (folder.path / "t.yaml").unlink(missing_ok=True)
    assert folder.names() == ["a", "b"]


def expecting(path: Path) -> Folder:
    """Return the folder after a restart of an agent that had webhooks."""
    folder = Folder(path)
    clock = lambda: folder.now  # noqa: E731 - the folder's own
    folder.source = FileWebhooks(path, secrets_namespace="n", clock=clock, expected={"a", "b"})
    return folder


@pytest.mark.parametrize("empty", [None, "", "kind: Other"], ids=["folder", "file", "file of others"])
def test_a_folder_that_is_empty_at_the_start_deletes_nothing_until_it_holds_something(
    tmp_path: Path, empty: str | None
) -> None:
    folder = expecting(tmp_path)
    if empty is not None:
        folder.write("a.yaml", empty)
    files = folder.check()
    assert not files.complete
    assert "is it mounted?" in files.problems[0]
    folder.write("a.yaml", manifest("a"))
    files = folder.check()
    assert (list(files.webhooks), files.complete, files.problems) == (["a"], True, ())
    (tmp_path / "a.yaml").unlink()
    assert folder.check().complete


@pytest.mark.parametrize("then", ["mounted", "removed", "missing no more"])
def test_a_folder_below_that_is_empty_at_the_start_deletes_nothing_until_it_holds_something_or_is_removed(
    tmp_path: Path, then: str
) -> None:
    folder = expecting(tmp_path)
    folder.write("a.yaml", manifest("a"))
    (tmp_path / "mount").mkdir()
    for _ in range(2):
        files = folder.check()
        assert (list(files.webhooks), files.complete) == (["a"], False)
        assert f"there is nothing in {tmp_path / 'mount'}: is it mounted? b stays as it is" in files.problems[0]
    if then == "mounted":
        folder.write("mount/b.yaml", manifest("b"))
    elif then == "removed":
        (tmp_path / "mount").rmdir()
    else:
        folder.write("b.yaml", manifest("b"))
    files = folder.check()
    assert (files.complete, files.problems) == (True, ())
    (tmp_path / "a.yaml").unlink()
    assert folder.check().complete


def test_an_empty_folder_deletes_and_keeps_nothing_where_no_webhook_is_missing(tmp_path: Path) -> None:
    folder = expecting(tmp_path)
    folder.write("a.yaml", manifest("a") + "---" + manifest("b").replace("Enabled", "Sometimes"))
    (tmp_path / "empty").mkdir()
    assert folder.check().complete
    (tmp_path / "a.yaml").unlink()
    assert folder.check().complete


def test_an_empty_folder_is_complete_where_there_were_no_webhooks(tmp_path: Path) -> None:
    assert Folder(tmp_path).check().complete


def test_a_file_that_is_broken_at_the_start_deletes_nothing_until_it_is_fixed(tmp_path: Path) -> None:
    folder = expecting(tmp_path)
    folder.write("a.yaml", manifest("a"))
    folder.write("b.yaml", "a: [")
    files = folder.check()
    assert (list(files.webhooks), files.complete) == (["a"], False)
    folder.write("b.yaml", manifest("b"))
    assert folder.check().complete
