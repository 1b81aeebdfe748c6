"""docs/ten-minutes-calico.md prints what it shows, beside Calico's own processor and on a real Elasticsearch.

There is no node: the test starts the agent that the page installs.
"""

import re
import shlex
from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from testbed.receivers import Answer, Receiver
from testbed.servers.indices import index
from tests.documented import Example, examples, masked
from tests.e2e.sew_agent import Folder
from tests.integration.cluster.in_cluster import ClusterHarness
from tests.integration.plugin.conftest import Sew, beside, calicos_processor
from tests.waiting import eventually

pytestmark = pytest.mark.server
PAGE = "docs/ten-minutes-calico.md"
CREDENTIALS = ("-n", "sew-system", "elasticsearch")
LEFT_OUT = "…"
READING = ("kubectl sew check", "kubectl sew list")


@pytest.fixture
def calicos(here: ClusterHarness) -> Iterator[ClusterHarness]:
    """A cluster with Calico's processor, and the Secret that the page has made; nothing of it stays."""
    with calicos_processor(here.server):
        here.server.kubectl("create", "secret", "generic", *CREDENTIALS, "--from-literal=api-key=a2V5")
        yield here
        here.server.kubectl("delete", "secret", *CREDENTIALS)


def is_shown(typed: Example, printed: str) -> bool:
    """Return whether the page shows what was printed, some of which it may leave out."""
    parts = (re.escape(masked(part)) for part in typed.shown.split(LEFT_OUT))
    return re.fullmatch(".*".join(parts), masked(printed), re.DOTALL) is not None


def test_the_page_prints_what_it_shows(calicos: ClusterHarness, folder: Folder, elasticsearch_8: str) -> None:
    sew = beside(calicos, folder)
    asks, installs, *rest = examples(PAGE)
    assert is_shown(asks, sew(*shlex.split(asks.line)[2:]).stdout)
    applied = sew(*shlex.split(installs.line)[2:])
    ours = [line for line in applied.stdout.splitlines() if not line.startswith("customresourcedefinition")]
    assert (ours, applied.stderr) == (installs.shown.splitlines(), "")  # of Calico's own API no definition is ours
    with Elasticsearch(elasticsearch_8) as client, index(client) as name, Receiver(lambda _: Answer(200)) as receiver:
        settings = {"POD_NAMESPACE": "sew-system", "POD_NAME": "agent-0", "SEW_BESIDE_CALICO": "true"}
        calicos.agent(folder, "--elasticsearch", elasticsearch_8, "--index", name, **settings)
        for typed in rest:
            line = typed.line.replace("https://receiver.example", receiver.url)
            if typed.line in READING:  # until it is as shown, since the agent has just started
                eventually(lambda: is_shown(typed, printed(calicos, sew, line)), line, 60)  # noqa: B023
            else:
                said = printed(calicos, sew, line)
                assert is_shown(typed, said), said
        assert [incoming.path for incoming in receiver.accepted] == ["/hook"]
    assert sew("uninstall", "--apply", "--data").returncode == 0


def printed(here: ClusterHarness, sew: Sew, line: str) -> str:
    words = shlex.split(line)[1:]
    done = sew(*words[1:]) if words[0] == "sew" else here.server.try_kubectl(*words)
    return done.stdout + done.stderr
