"""Webhooks from manifests: a file, or a folder with all its folders, checked again and again.

A file that is broken or empty keeps what it last held. A folder that cannot be read, or was unmounted, deletes nothing,
and stops none of the others; neither does one that is not mounted yet, or a file that is broken, when the agent is
started. A folder that is empty then may be a mount point, so webhooks that are missing are kept until it holds
something or is removed.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubectl_sew.errors import SewError
from kubectl_sew.exceptions import usable
from kubectl_sew.folders import empty_folders, is_empty, manifests_in
from kubectl_sew.resource import Finding, LocatedWebhook, Manifests, load_manifests
from kubectl_sew.validation.webhook import InvalidWebhook, reason_of
from sew_agent.webhooks.base import Snapshot

CHECK_EVERY = 0.5
"""Seconds between two checks: a change takes effect within 2 s."""
_SETTLED = 2.0
"""A file that changed less than this many seconds before it was read may change again without another time stamp."""
_LARGEST = 64 * 2**20
_MOUNTED = "is it mounted? The webhooks that were there are kept until there is one again"
_TAKEN_ANYWAY = "SEW015"
"""A label that is none is left out, and the webhook runs."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    modified: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class _File:
    """One file as last read. `manifests` are its own, or those that it held before it broke."""

    stamp: _Stamp
    settled: bool
    content: bytes
    manifests: Manifests
    problems: tuple[str, ...] = ()
    whole: bool = True
    """False for one that has been broken since the agent was started: what it held before is not known."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """The manifests that are there; `unread` has what could not be listed or looked at, and why."""

    stamps: Mapping[Path, _Stamp]
    unread: Mapping[Path, str] = field(default_factory=dict)

    def hides(self, path: Path) -> bool:
        """Return whether a path may be there, in what could not be read."""
        return any(path.is_relative_to(place) for place in self.unread)


class FileWebhooks:
    """Webhooks from manifests in files. Raises SewError at once where there is no such path."""

    def __init__(
        self, path: Path, *, secrets_namespace: str, clock: Callable[[], float], expected: Collection[str] = ()
    ) -> None:
        """`clock` gives seconds since the epoch. `expected`: names of the webhooks when the agent ran last."""
        if not path.exists():
            raise SewError(f"there are no webhooks at {path}: name a file or a folder of manifests with --webhooks")
        self._path = path
        self._namespace = secrets_namespace
        self._clock = clock
        self._files: dict[Path, _File] = {}
        self._devices: dict[Path, int] = {}
        self._bare = bool(expected)
        """True when there were webhooks, and there has been nothing at all since the start."""
        self._missing = set(expected)
        """Expected webhooks that have not been there since the start."""
        self._empty: Collection[Path] | None = None
        """Folders that have been empty since the first check: something may still be mounted there."""
        self._checked_at = float("-inf")
        self._snapshot = Snapshot({}, {}, {}, complete=not expected)

    def snapshot(self) -> Snapshot:
        now = self._clock()
        if abs(now - self._checked_at) >= CHECK_EVERY:
            self._checked_at = now
            self._check(now)
        return self._snapshot

    def close(self) -> None:
        """Do nothing: no file is held open."""

    def _check(self, now: float) -> None:
        try:
            listing = self._list()
            files = {path: self._file(path, stamp, now) for path, stamp in listing.stamps.items()}
            files |= {path: file for path, file in self._files.items() if path not in files and listing.hides(path)}
            self._bare = self._bare and not any(_held(file.manifests) for file in files.values())
            if files == self._files and self._snapshot.complete and not listing.unread:
                return
            self._files = files
            problems = [*self._unread(listing), *self._unmounted(listing)]
        except OSError as error:
            kept = "; the last ones are kept" if self._files else ""
            problem = f"webhooks cannot be read from {self._path}: {_reason(error)}{kept}"
            self._publish(_snapshot(self._files, [problem], complete=False))
            return
        whole = all(file.whole for file in files.values())
        self._publish(_snapshot(files, problems, complete=whole and not problems))

    def _unread(self, listing: _Listing) -> Iterator[str]:
        """Report each folder and file that could not be listed or looked at, and what becomes of it."""
        for place, why in sorted(listing.unread.items()):
            kept = any(path.is_relative_to(place) for path in self._files)
            yield f"{place} cannot be read: {why}; {'what it held before is kept' if kept else 'all else is served'}"

    def _unmounted(self, listing: _Listing) -> Iterator[str]:
        """Report what has been empty since the start, as long as webhooks are missing that may have been there."""
        self._missing -= {name for file in self._files.values() for name in _names(file.manifests)}
        if listing.unread:
            return  # nothing is deleted before all can be read
        if self._empty is None:
            self._empty = empty_folders(self._path) if self._missing and self._path.is_dir() else ()
        self._empty = [folder for folder in self._empty if is_empty(folder)]
        if self._bare:
            yield f"there is nothing in {self._path}: {_MOUNTED}"
        elif self._missing and self._empty:
            empty = ", ".join(map(str, self._empty))
            yield (
                f"there is nothing in {empty}: is it mounted? {', '.join(sorted(self._missing))} stays as it is until "
                "there is something, or the empty folder is removed"
            )

    def _publish(self, snapshot: Snapshot) -> None:
        if snapshot != self._snapshot:
            self._snapshot = snapshot

    def _list(self) -> _Listing:
        """List the manifests. Raises OSError where nothing of them can be listed for certain."""
        if not self._path.is_dir():
            self._path.parent.stat()
            return _listing([self._path], []) if self._path.exists() else self._check_deleted()
        failures: list[OSError] = []
        listing = _listing(manifests_in(self._path, failed=failures.append), failures)
        folders = {path.parent for path in listing.stamps}
        hidden = {folder for folder in self._devices if listing.hides(folder)}
        for folder in self._devices.keys() - folders - hidden:
            empty = not any(held.is_relative_to(folder) for held in folders | hidden)
            if empty and folder.exists() and folder.stat().st_dev != self._devices[folder]:
                raise OSError(f"the folder {folder} is empty and on another device: it was unmounted")
        devices = {folder: folder.stat().st_dev for folder in folders | {self._path}}
        self._devices = {folder: self._devices[folder] for folder in hidden} | devices
        return listing

    def _check_deleted(self) -> _Listing:
        """Accept that a single file was deleted; raise where a folder is missing, since it may be unmounted."""
        if any(path != self._path for path in self._files):
            raise OSError("the folder is not there")
        return _Listing({})

    def _file(self, path: Path, stamp: _Stamp, now: float) -> _File:
        before = self._files.get(path)
        if before and before.settled and before.stamp == stamp:
            return before
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST)
        except OSError as error:
            return _kept(before, stamp, b"", f"{path} cannot be read: {_reason(error)}")
        settled = stamp.modified / 1e9 < now - _SETTLED
        if before and before.content == content:
            return replace(before, stamp=stamp, settled=settled)
        return _validated(before, str(path), stamp, settled, content, self._namespace)


def _validated(before: _File | None, name: str, stamp: _Stamp, settled: bool, content: bytes, namespace: str) -> _File:
    manifests = load_manifests(content, name, secrets_namespace=namespace)
    broken = next((finding for finding in manifests.findings if finding.is_error and not finding.resource), None)
    if broken:
        return _kept(before, stamp, content, str(broken), manifests, settled)
    if before and _held(before.manifests) and not _held(manifests):
        return _kept(before, stamp, content, f"{name} holds nothing any more", manifests, settled)
    return _File(stamp, settled, content, manifests)


def _kept(
    before: _File | None,
    stamp: _Stamp,
    content: bytes,
    problem: str,
    readable: Manifests | None = None,
    settled: bool = False,
) -> _File:
    """Keep what the file held last; where it never held anything, what can be read of it now."""
    if before and _held(before.manifests):
        return _File(stamp, settled, content, before.manifests, (f"{problem}; what it held before is kept",))
    return _File(stamp, settled, content, readable or Manifests(), (problem,), whole=False)


def _held(manifests: Manifests) -> bool:
    return bool(manifests.webhooks or manifests.exceptions or manifests.secrets or manifests.config_maps)


def _names(manifests: Manifests) -> Collection[str]:
    """Return the names of all webhooks, those with errors, too."""
    return {webhook.name for webhook in manifests.webhooks} | _refused(manifests).keys()


def _snapshot(files: Mapping[Path, _File], problems: list[str], *, complete: bool) -> Snapshot:
    parts = [files[path] for path in sorted(files)]
    ambiguous = _ambiguous(files)
    refused = _refusals(parts, ambiguous)
    exceptions, broken = usable([located for part in parts for located in part.manifests.exceptions])
    return Snapshot(
        webhooks={
            webhook.name: webhook.webhook
            for part in parts
            for webhook in part.manifests.webhooks
            if webhook.name and webhook.name not in refused
        },
        secrets=_merged("Secret", (part.manifests.secrets for part in parts), ambiguous),
        config_maps=_merged("ConfigMap", (part.manifests.config_maps for part in parts), ambiguous),
        problems=(*problems, *(problem for part in parts for problem in part.problems), *_nameless(parts)),
        refused=refused,
        exceptions=exceptions,
        broken_exceptions=broken,
        complete=complete,
    )


def _refusals(parts: list[_File], ambiguous: Mapping[tuple[str, str], str]) -> dict[str, InvalidWebhook]:
    """Return the webhooks that cannot be used: two of one name, those with errors, and with ambiguous references."""
    names = Counter(name for part in parts for name in {webhook.name for webhook in part.manifests.webhooks})
    twice = {name: InvalidWebhook(_twice(name, parts)) for name, count in names.items() if count > 1}
    ambiguities = {
        webhook.name: InvalidWebhook(ambiguity)
        for part in parts
        for webhook in part.manifests.webhooks
        if (ambiguity := _ambiguity(webhook, ambiguous))
    }
    errors = {name: _refusal(finding) for part in parts for name, finding in _refused(part.manifests).items()}
    return ambiguities | errors | twice


def _ambiguous(files: Mapping[Path, _File]) -> dict[tuple[str, str], str]:
    """Return the kind and name of each Secret and ConfigMap that stands twice -> where, and what to do."""
    places: dict[tuple[str, str], list[str]] = {}
    for path, file in sorted(files.items()):
        held = [("Secret", name) for name in file.manifests.secrets]
        for key in held + [("ConfigMap", name) for name in file.manifests.config_maps]:
            places.setdefault(key, []).extend([str(path)] * (2 if key in file.manifests.twice else 1))
    return {
        (kind, name): f"two {kind}s have the name {name}, in {' and in '.join(where)}: keep one of them"
        for (kind, name), where in places.items()
        if len(where) > 1
    }


def _ambiguity(located: LocatedWebhook, ambiguous: Mapping[tuple[str, str], str]) -> str:
    """Return why a webhook that refers to an ambiguous object is refused; "" for any other."""
    reasons = (ambiguous.get((reference.kind, reference.name), "") for reference in located.webhook.references)
    return next(filter(None, reasons), "") if located.name else ""


def _merged(
    kind: str, held: Iterable[Mapping[str, Mapping[str, bytes]]], ambiguous: Collection[tuple[str, str]]
) -> dict[str, Mapping[str, bytes]]:
    return {name: values for part in held for name, values in part.items() if (kind, name) not in ambiguous}


def _refused(manifests: Manifests) -> dict[str, Finding]:
    errors = [
        finding
        for finding in manifests.findings
        if finding.is_error and finding.resource and finding.code != _TAKEN_ANYWAY
    ]
    return {error.resource: error for error in reversed(errors)}


def _refusal(finding: Finding) -> InvalidWebhook:
    return InvalidWebhook(str(finding), reason_of(finding))


def _twice(name: str, parts: list[_File]) -> str:
    places = [webhook.source for part in parts for webhook in part.manifests.webhooks if webhook.name == name]
    return f"two webhooks have the name {name}, in {' and in '.join(places)}: keep one of them"


def _nameless(parts: list[_File]) -> Iterator[str]:
    """Yield errors of webhooks without a name: no name can be refused, so they are problems of their file."""
    for part in parts:
        if any(not webhook.name for webhook in part.manifests.webhooks):
            yield from (
                str(finding) for finding in part.manifests.findings if finding.is_error and not finding.resource
            )


def _listing(paths: Iterable[Path], failures: list[OSError]) -> _Listing:
    """Look at each path. `failures` has what was in the way of listing them."""
    stamps = {}
    for path in paths:
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # deleted since it was listed, or a link that leads nowhere
        except OSError as error:
            failures.append(error)
            continue
        stamps[path] = _Stamp(stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return _Listing(stamps, {Path(error.filename): _reason(error) for error in failures})


def _reason(error: OSError) -> str:
    to_do = f": let the agent's user (uid {os.geteuid()}) read it" if isinstance(error, PermissionError) else ""
    return f"{error.strerror or error}{to_do}"
