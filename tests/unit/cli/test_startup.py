"""Commands that are run often start fast: they load no client of a cluster, an index or the network."""

import subprocess
import sys

import pytest

SLOW = (
    "regex",
    "kubernetes",
    "elasticsearch",
    "elastic_transport",
    "urllib3",
    "yaml",
    "jinja2",
    "urllib.request",
    "asyncio",
    "werkzeug",
    "waitress",
)
CHECK = f"""
import sys
from kubectl_sew.cli import main
try:
    main.main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*[name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "line",
    [
        ["--help"],
        ["version", "--client"],
        ["fields"],
        ["completion"],
        ["__complete", ""],
        ["__complete", "preview-query", "--"],
        ["preview-query", "--help"],
        ["dashboard", "--help"],
        ["preview-query", "type = waf"],
        ["preview-query", "type = waf", "--explain"],
        ["preview-query", "type = waf", "--format"],
        ["preview-query", "type = waf", "--events", "docs/examples/events.ndjson"],
    ],
    ids=" ".join,
)
def test_nothing_slow_is_loaded(line):
    done = subprocess.run([sys.executable, "-c", CHECK, *line], capture_output=True, text=True, check=True)
    assert done.stdout or "--events" in line
    assert done.stderr.splitlines()[-1] == ""
