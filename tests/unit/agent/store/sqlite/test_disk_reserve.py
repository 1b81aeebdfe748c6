"""Room that is kept for what makes room, on volumes of any size."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from sew_agent.store.sqlite.disk_reserve import DiskReserve

MIB = 2**20
SetFree = Callable[[int], None]


@pytest.fixture
def set_free(monkeypatch: pytest.MonkeyPatch) -> SetFree:
    """Sets what a volume of 100 MiB, with pages of 1 KiB, has free."""
    volume = SimpleNamespace(f_frsize=1024, f_blocks=100 * 1024, f_bavail=0)
    monkeypatch.setattr("os.statvfs", lambda _: volume)

    def set_it(free: int) -> None:
        volume.f_bavail = free // 1024

    return set_it


@pytest.mark.parametrize(
    ("max_bytes", "size", "log_pages"),
    [
        (50 * MIB, MIB, 204),
        (50 * MIB + 49, MIB, 204),
        (50 * 81920, 81920, 16),
        (50 * 5 * 4096 * 5, 5 * 4096 * 5, 20),
        (10**9, 100 * MIB // 8, 2560),
    ],
)
@pytest.mark.usefixtures("set_free")
def test_it_is_a_fiftieth_of_the_store_or_an_eighth_of_the_volume(
    tmp_path: Path, max_bytes: int, size: int, log_pages: int
) -> None:
    reserve = DiskReserve(tmp_path, max_bytes)
    assert (reserve.size, reserve.log_pages) == (size, log_pages)


def test_it_is_at_most_40_mib_and_its_log_32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_frsize=4096, f_blocks=2**30, f_bavail=2**30))
    reserve = DiskReserve(tmp_path, 2**40)
    assert (reserve.size, reserve.log_pages) == (40 * MIB, 8000)


def test_it_is_made_where_there_is_room_for_two_and_left_where_there_is_not_for_eight(
    tmp_path: Path, set_free: SetFree
) -> None:
    path = tmp_path / "reserve"
    reserve = DiskReserve(tmp_path, 50 * MIB)
    set_free(2 * MIB - 1024)
    assert not reserve.keep()
    assert not path.exists()
    set_free(2 * MIB)
    assert reserve.keep()
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (MIB, 0o600)
    set_free(0)
    assert reserve.keep()
    set_free(7 * MIB - 1024)
    reserve.close()
    assert path.exists()
    set_free(7 * MIB)
    reserve.close()
    assert not path.exists()


def test_one_that_is_there_counts_as_room_and_is_taken_over(tmp_path: Path, set_free: SetFree) -> None:
    set_free(2 * MIB)
    assert DiskReserve(tmp_path, 50 * MIB).keep()
    again = DiskReserve(tmp_path, 50 * MIB)
    set_free(MIB - 1024)
    assert not again.keep()
    set_free(MIB)
    assert again.keep()
    again.give_up()
    assert not (tmp_path / "reserve").exists()
    assert not again.keep()
    again.give_up()


def test_one_that_another_process_made_is_left_to_it(tmp_path: Path, set_free: SetFree) -> None:
    set_free(50 * MIB)
    assert DiskReserve(tmp_path, 50 * MIB).keep()
    DiskReserve(tmp_path, 50 * MIB).close()
    assert (tmp_path / "reserve").exists()


def test_none_is_kept_for_a_store_without_room(tmp_path: Path, set_free: SetFree) -> None:
    set_free(0)
    assert DiskReserve(tmp_path, 49).keep()
    assert (tmp_path / "reserve").stat().st_size == 0


@pytest.mark.parametrize(
    ("error", "made"), [(errno.ENOSPC, False), (errno.EOPNOTSUPP, True), (errno.EINVAL, True), (None, True)]
)
def test_where_room_cannot_be_taken_without_writing_it_is_written(
    tmp_path: Path, set_free: SetFree, monkeypatch: pytest.MonkeyPatch, error: int | None, made: bool
) -> None:
    if error is None:
        monkeypatch.delattr("os.posix_fallocate")
    else:

        def refuse(*_: int) -> None:
            raise OSError(error, "refused")

        monkeypatch.setattr("os.posix_fallocate", refuse)
    set_free(50 * MIB)
    reserve = DiskReserve(tmp_path, 50 * 5 * MIB // 2)
    assert reserve.keep() is made
    path = tmp_path / "reserve"
    assert path.exists() is made
    if made:
        assert path.stat().st_size == 5 * MIB // 2 <= path.stat().st_blocks * 512


def test_a_disk_that_fills_up_meanwhile_leaves_nothing_behind(
    tmp_path: Path, set_free: SetFree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(descriptor: int, _: bytes, start: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.delattr("os.posix_fallocate")
    monkeypatch.setattr("os.pwrite", fill_up)
    set_free(50 * MIB)
    assert not DiskReserve(tmp_path, 50 * MIB).keep()
    assert list(tmp_path.iterdir()) == []
