"""Manifests: YAML or JSON text -> webhooks with their places, and the Secrets and ConfigMaps beside them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from kubectl_sew.resource.documents import DocumentNode, read_documents
from kubectl_sew.resource.exceptions import EXCEPTION_KIND, AlertException, check_exception
from kubectl_sew.resource.findings import Finding, error, shown, warning
from kubectl_sew.resource.model import KIND, SECRETS_NAMESPACE, Webhook, as_map
from kubectl_sew.resource.objects import object_values
from kubectl_sew.resource.oversights import find_oversights, nearly
from kubectl_sew.resource.structure import Path, check_structure


@dataclass(frozen=True, slots=True)
class LocatedWebhook:
    """A webhook of a manifest. Where the manifest is broken, `webhook` holds what could be read of it."""

    webhook: Webhook
    source: str
    node: DocumentNode = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.webhook.name

    def locate(self, finding: Finding, path: Path = (), *, at_key: bool = False) -> Finding:
        """The finding with file, line, column and the webhook's name."""
        return _located(self.node, self.source, self.name, finding, path, at_key=at_key)


@dataclass(frozen=True, slots=True)
class LocatedException:
    """An AlertException of a manifest, as far as it could be read, with what is wrong with its structure."""

    exception: AlertException
    source: str
    node: DocumentNode = field(repr=False, compare=False)
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        return self.exception.name

    def locate(self, finding: Finding, path: Path = (), *, at_key: bool = False) -> Finding:
        """The finding with file, line, column and the exception's name."""
        return _located(self.node, self.source, self.name, finding, path, at_key=at_key)


def _located(node: DocumentNode, source: str, name: str, finding: Finding, path: Path, *, at_key: bool) -> Finding:
    line, column = node.place(path, at_key=at_key)
    return replace(finding, file=source, line=line, column=column, resource=name)


@dataclass(frozen=True, slots=True)
class Manifests:
    """The contents of some files. Values of Secrets are bytes and never show in `repr`."""

    webhooks: tuple[LocatedWebhook, ...] = ()
    exceptions: tuple[LocatedException, ...] = ()
    """Their findings are not among those of the manifests: an exception may have the name of a webhook."""
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict, repr=False)
    config_maps: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict, repr=False)
    findings: tuple[Finding, ...] = ()
    twice: frozenset[tuple[str, str]] = frozenset()
    """Kind and name of those Secrets and ConfigMaps that stand more than once: which of them is meant is not known."""

    @property
    def refused(self) -> dict[str, Finding]:
        """Webhook name -> the first error of its manifest; these cannot be taken at all.

        A wrong part of the labels annotation alone is none: the agent leaves that part out, and says so.
        """
        errors = [
            finding for finding in self.findings if finding.is_error and finding.resource and finding.code != "SEW015"
        ]
        return {finding.resource: finding for finding in reversed(errors)}

    @property
    def good(self) -> dict[str, Webhook]:
        """Webhook name -> webhook, without the refused ones."""
        refused = self.refused
        return {
            webhook.name: webhook.webhook for webhook in self.webhooks if webhook.name and webhook.name not in refused
        }


def load_manifests(text: str | bytes, source: str, *, secrets_namespace: str = SECRETS_NAMESPACE) -> Manifests:
    """All that one file holds, `source` being its name; no text raises anything.

    Other kinds are ignored, and Secrets and ConfigMaps of other namespaces too.
    """
    return load_many([(source, text)], secrets_namespace=secrets_namespace)


def load_many(files: Iterable[tuple[str, str | bytes]], *, secrets_namespace: str = SECRETS_NAMESPACE) -> Manifests:
    """All that several files (name, text) hold together; two webhooks of one name are both refused."""
    collected = _Collected(secrets_namespace)
    for source, text in files:
        roots, findings = read_documents(text)
        collected.findings += [replace(finding, file=source) for finding in findings]
        for root in roots:
            collected.take(root, source)
    collected.findings += _duplicates(collected.webhooks)
    return Manifests(
        tuple(collected.webhooks),
        tuple(collected.exceptions),
        {obj.name: obj.values for obj in collected.objects if obj.kind == "Secret"},
        {obj.name: obj.values for obj in collected.objects if obj.kind == "ConfigMap"},
        tuple(
            sorted(collected.findings, key=lambda finding: (finding.file, finding.line, finding.column, finding.code))
        ),
        frozenset(collected.twice),
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """A Secret or ConfigMap."""

    kind: str
    name: str
    values: Mapping[str, bytes] = field(repr=False)


class _Collected:
    """The objects and findings so far."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.webhooks: list[LocatedWebhook] = []
        self.exceptions: list[LocatedException] = []
        self.objects: list[_Held] = []
        self.findings: list[Finding] = []
        self.twice: set[tuple[str, str]] = set()

    def take(self, root: DocumentNode, source: str) -> None:
        """Read a document, or an item of a list."""
        if root.value is None:
            return
        kind = root.inside("kind")
        if not isinstance(root.value, dict):
            message = "a document must be a map with `apiVersion` and `kind`"
            self._say(error("SEW005", message, "a list of objects has `kind: List` and `items`"), root, source)
        elif kind is None or not isinstance(kind.value, str):
            if not _is_kustomization(source):
                self._say(warning("SEW005", "a document without `kind` is ignored", "is it a manifest?"), root, source)
        elif kind.value.endswith("List") and (items := root.inside("items")) is not None:
            for item in items.children():
                self.take(item, source)
        else:
            self._object(kind.value, root, source)

    def _object(self, kind: str, root: DocumentNode, source: str) -> None:
        if kind == KIND:
            self._webhook(root, source)
        elif kind == EXCEPTION_KIND or nearly(kind, EXCEPTION_KIND):
            self._exception(root, source)
        elif kind in ("Secret", "ConfigMap"):
            self._held(kind, root, source)
        elif nearly(kind, KIND):
            self._near_miss(kind, root, source)

    def _near_miss(self, kind: str, root: DocumentNode, source: str) -> None:
        name = as_map(root.plain().get("metadata")).get("name")
        hint = f"write `{KIND}`: upper and lower case differ"
        finding = error("SEW018", f"the kind `{shown(kind)}` is unknown", hint, resource=str(name or kind))
        self._say(finding, root, source, ("kind",))

    def _webhook(self, root: DocumentNode, source: str) -> None:
        obj = root.plain()
        webhook = LocatedWebhook(Webhook.from_object(obj), source, root)
        self.webhooks.append(webhook)
        for problem in root.all_problems():
            self.findings.append(replace(problem, file=source, resource=webhook.name))
        for finding in [*check_structure(obj), *find_oversights(obj)]:
            self.findings.append(webhook.locate(finding.finding, finding.path, at_key=finding.at_key))

    def _exception(self, root: DocumentNode, source: str) -> None:
        obj = root.plain()
        located = LocatedException(AlertException.from_object(obj), source, root)
        problems = [replace(problem, file=source, resource=located.name) for problem in root.all_problems()]
        problems += [
            located.locate(found.finding, found.path, at_key=found.at_key)
            for found in [*check_exception(obj), *find_oversights(obj)]
        ]
        self.exceptions.append(replace(located, findings=tuple(problems)))

    def _held(self, kind: str, root: DocumentNode, source: str) -> None:
        metadata = as_map(root.plain().get("metadata"))
        if metadata.get("namespace") not in (None, "", self._namespace):
            return
        for problem in root.all_problems():
            self.findings.append(replace(problem, file=source))
        name = metadata.get("name")
        if not isinstance(name, str) or not name:
            self._say(error("SEW043", f"a {kind} without a name", "set `metadata.name`"), root, source)
            return
        if any((obj.kind, obj.name) == (kind, name) for obj in self.objects):
            self.twice.add((kind, name))
            self._say(error("SEW044", f"two {kind}s have the name `{shown(name)}`", "keep one"), root, source)
        values, problems = object_values(kind, name, root.plain())
        self.objects.append(_Held(kind, name, values))
        for message, path in problems:
            self._say(error("SEW043", message), root, source, path)

    def _say(self, finding: Finding, node: DocumentNode, source: str, path: Path = ()) -> None:
        line, column = node.place(path)
        self.findings.append(replace(finding, file=source, line=line, column=column))


def _duplicates(webhooks: Iterable[LocatedWebhook]) -> Iterator[Finding]:
    by_name: dict[str, list[LocatedWebhook]] = {}
    for webhook in webhooks:
        by_name.setdefault(webhook.name, []).append(webhook)
    for name, same in by_name.items():
        for webhook in same if name and len(same) > 1 else ():
            others = ", ".join(f"{other.source}:{other.node.line}" for other in same[:4] if other is not webhook)
            finding = error("SEW011", f"two webhooks have the name `{shown(name)}`", f"the other: {others}")
            yield webhook.locate(finding, ("metadata", "name"))


def _is_kustomization(source: str) -> bool:
    """Kustomize lets its own file have no `kind`."""
    return PurePath(source).name in ("kustomization.yaml", "kustomization.yml")
