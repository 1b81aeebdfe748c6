"""Real Elasticsearch nodes on loopback, from the jars of Maven Central: one node, or three that form a cluster.

A node keeps its ports and data when it is killed and started again. There is no security in it, no scripts, and nothing
at `/`. OpenSearch (`testbed.servers.opensearch`) runs in the same way. Free of pytest.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import OpenerDirector, ProxyHandler, build_opener

from testbed.servers.building import UnavailableError, built, packages, run
from testbed.servers.by_hand import serve
from testbed.servers.running import Server, free_port
from tests.waiting import eventually

READY_WITHIN = 90.0
HEALTH = "/_cluster/health?wait_for_status=yellow&timeout=1s"
VIRTUAL_MACHINES = Path("/usr/lib/jvm")
_OPENER = build_opener(ProxyHandler({}))
_LOG = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1.} %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True)
class Version:
    """A version under test, and the first and last Java that runs it."""

    number: str
    first_java: int
    last_java: int
    product: str = "Elasticsearch"
    main: str = "org.elasticsearch.node.ClassPathNode"
    """Our class that runs a node. Arguments: its config folder, its name, and `plugins`."""
    plugins: tuple[str, ...] = ()
    electing: str = "cluster.initial_master_nodes"
    """The setting that names the nodes of which a new cluster's first leader is elected."""
    pinned: Mapping[str, str] = field(default_factory=dict)
    """Jar -> its version, where Maven cannot know it."""
    folders: tuple[str, ...] = ()
    """Folders below `sources` for it, where that of its major version is not enough; the last may have its own pom."""
    jars: tuple[str, ...] = ("lib",)
    """Folders of what is built for it whose jars are on the class path."""
    arrange: Callable[[Path], None] | None = None
    """Moves what was fetched into `lib` to where our classes look for it."""

    @property
    def major(self) -> str:
        """The major version, which names the folder of our sources for it."""
        return self.number.partition(".")[0]

    @property
    def sources(self) -> Path:
        """The folder with our sources of all its versions."""
        return Path(__file__).parent / f"{self.product.lower()}-node"

    @property
    def classes(self) -> list[Path]:
        """Our sources for it: of one file in several folders, the last."""
        folders = [self.sources / name for name in self.folders or (self.major,)]
        return list({path.name: path for folder in folders for path in sorted(folder.rglob("*.java"))}.values())

    @property
    def pom(self) -> Path:
        """Maven's list of what it needs."""
        own = self.sources / (self.folders or (self.major,))[-1] / "pom.xml"
        return own if own.exists() else self.sources / "pom.xml"


V8 = Version("8.17.0", 17, 23)
V9 = Version("9.0.4", 21, 99)
V8_NEWEST = Version("8.19.21", 17, 23, folders=("9",))
V9_NEWEST = Version("9.5.3", 21, 99, folders=("9", "9.5"))


@dataclass
class ElasticsearchNode:
    """A node whose `url` answers once it is started. The context managers below start it and stop it."""

    version: Version
    name: str
    folder: Path
    heap: str
    http_port: int = field(default_factory=free_port)
    transport_port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    _server: Server | None = None

    @property
    def url(self) -> str:
        """Address of the node, without a slash at its end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> Path:
        """File with the log of the node, over all its starts."""
        return self.folder / "log"

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def launch(self) -> None:
        """Start the process and return at once."""
        _configure(self)
        self._server = Server(_command(self), self.log)

    def wait(self) -> None:
        """Wait until every index can be searched. Raises UnavailableError with the end of its log."""
        assert self._server is not None
        self._server.wait_until(self._is_ready, READY_WITHIN)

    def _is_ready(self) -> bool:
        return answers(f"{self.url}{HEALTH}", _OPENER)

    def start(self) -> None:
        """Start the node on the same ports with the same data, and return when it answers."""
        self.launch()
        self.wait()

    def kill(self) -> None:
        """Kill the node at once, as when a machine is lost. Do nothing where it is not running."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def stop(self) -> None:
        """Shut the node down in order, so that everything is written first."""
        assert self._server is not None
        self._server.signal(signal.SIGTERM)
        eventually(lambda: self._server is None or not self._server.running(), "the node ends", seconds=30)
        self.kill()

    def restart(self) -> None:
        """Kill the node and start it again."""
        self.kill()
        self.start()


@contextmanager
def elasticsearch(
    version: Version, *, heap: str = "512m", settings: Mapping[str, str] | None = None
) -> Iterator[ElasticsearchNode]:
    """Run one node with data of its own, gone afterwards. `settings` go into its configuration.

    Raises UnavailableError.
    """
    build(version)
    with _stopped_at_the_end(1, version, heap) as (node,):
        node.settings = {"discovery.type": "single-node"} | dict(settings or {})
        node.start()
        yield node


@contextmanager
def elasticsearch_url(version: Version) -> Iterator[str]:
    """Yield `ELASTICSEARCH_URL` where its server has that major version, else the URL of a node of our own.

    Elasticsearch and OpenSearch have no major version in common.
    """
    given = os.environ.get("ELASTICSEARCH_URL", "").rstrip("/")
    if given and _major(given) == version.major:
        yield given
    else:
        with elasticsearch(version) as node:
            yield node.url


@contextmanager
def cluster(version: Version, *, size: int = 3, heap: str = "400m") -> Iterator[list[ElasticsearchNode]]:
    """Run nodes that form a cluster, any of which may be killed and started again. Raises UnavailableError."""
    build(version)
    with _stopped_at_the_end(size, version, heap) as nodes:
        for node in nodes:
            node.settings = {
                "discovery.seed_hosts": ",".join(f"127.0.0.1:{node.transport_port}" for node in nodes),
                version.electing: ",".join(node.name for node in nodes),
            }
            node.launch()
        for node in nodes:
            node.wait()
        yield nodes


@contextmanager
def _stopped_at_the_end(size: int, version: Version, heap: str) -> Iterator[list[ElasticsearchNode]]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        nodes = [
            ElasticsearchNode(version, f"node-{number}", Path(folder) / f"node-{number}", heap)
            for number in range(size)
        ]
        for node in nodes:
            stack.callback(node.kill)
        yield nodes


def build(version: Version) -> Path:
    """Return the folder with its jars (`lib`) and our classes (`classes`), built where it is not there yet."""
    digest = hashlib.sha256()
    for source in [version.pom, *version.classes]:
        digest.update(source.read_bytes())
    name = version.product.lower()
    return built(name, f"{version.number}-{digest.hexdigest()[:12]}", lambda folder: _build(version, folder))


def java_home(version: Version) -> Path:
    """Return `JAVA_HOME` where it suits that version, else the oldest Java of this machine that does."""
    given = os.environ.get("JAVA_HOME")
    homes = [(_java_version(home), home) for home in VIRTUAL_MACHINES.glob("*") if (home / "bin" / "javac").exists()]
    own = [(_java_version(Path(given)), Path(given))] if given else []
    for number, home in own + sorted(homes):
        if version.first_java <= number <= version.last_java:
            return home
    raise UnavailableError(
        f"{version.product} {version.number} needs a JDK of version {version.first_java} or newer"
        f"{f', {version.last_java} at most' if version.last_java < 99 else ''}: set JAVA_HOME, or install one"
    )


def _java_version(home: Path) -> int:
    release = home / "release"
    match = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.exists() else None
    return int(match[1]) if match else 0


def _build(version: Version, folder: Path) -> None:
    if shutil.which("mvn") is None:
        packages("maven")
    lib, classes = folder / "lib", folder / "classes"
    home = _jdk(version)
    jars = {version.product.lower(): version.number, **version.pinned}
    goal = ("dependency:copy-dependencies", f"-DoutputDirectory={lib}")
    versions = [f"-D{jar}.version={number}" for jar, number in jars.items()]
    run("mvn", "-q", "-B", "-f", version.pom, *goal, *versions, env={"JAVA_HOME": str(home)})
    run(home / "bin" / "javac", "-proc:none", "-d", classes, "-cp", f"{lib}/*", *version.classes)
    if version.arrange:
        version.arrange(folder)


def _jdk(version: Version) -> Path:
    try:
        return java_home(version)
    except UnavailableError:
        if version.first_java > 17:
            raise
        packages("openjdk-17-jdk-headless")
        return java_home(version)


def _configure(node: ElasticsearchNode) -> None:
    config = node.folder / "config"
    for folder in (config, node.folder / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    (config / "log4j2.properties").write_text(_LOG)
    settings = {
        "path.home": str(node.folder),
        "path.data": str(node.folder / "data"),
        "path.logs": str(node.folder / "logs"),
        "node.name": node.name,
        "cluster.name": "under-test",
        "network.host": "127.0.0.1",
        "http.port": str(node.http_port),
        "transport.port": str(node.transport_port),
        "node.processors": "2",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    lines = [f"{key}: {value}\n" for key, value in (settings | node.settings).items()]
    (config / f"{node.version.product.lower()}.yml").write_text("".join(lines))


def _command(node: ElasticsearchNode) -> list[str]:
    files = build(node.version)
    return [
        str(java_home(node.version) / "bin" / "java"),
        f"-Xms{node.heap}",
        f"-Xmx{node.heap}",
        "-XX:+UseSerialGC",
        f"-Djava.io.tmpdir={node.folder / 'tmp'}",
        "-Dlog4j2.shutdownHookEnabled=false",  # the last words of an orderly end are worth having
        *(["--enable-native-access=ALL-UNNAMED"] if node.version.first_java > 17 else []),
        "-cp",
        ":".join([str(files / "classes"), *(f"{files / jars}/*" for jars in node.version.jars)]),
        node.version.main,
        str(node.folder / "config"),
        node.name,
        *node.version.plugins,
    ]


def answers(health: str, opener: OpenerDirector, ready: bytes = b'"timed_out":false') -> bool:
    """Return whether the node says at this URL, such as that of `HEALTH`, that every index is ready."""
    try:
        with opener.open(health, timeout=5) as answer:
            return ready in answer.read()
    except OSError:
        return False


def _major(url: str) -> str:
    try:
        with _OPENER.open(f"{url}/_nodes/_local?filter_path=nodes.*.version", timeout=5) as answer:
            (node,) = json.load(answer)["nodes"].values()
    except OSError as error:
        raise UnavailableError(f"ELASTICSEARCH_URL={url} does not answer: {error}") from None
    return str(node["version"]).partition(".")[0]


@contextmanager
def _by_hand(name: str) -> Iterator[str]:
    versions = {"8": V8, "9": V9, "8.19": V8_NEWEST, "9.5": V9_NEWEST}
    if name not in versions:
        raise UnavailableError(f"Elasticsearch {name} is not under test: name {' or '.join(versions)}")
    with elasticsearch(versions[name]) as node:
        yield f"export ELASTICSEARCH_URL={node.url}"


if __name__ == "__main__":
    serve(_by_hand(sys.argv[1] if len(sys.argv) > 1 else V8.major))
