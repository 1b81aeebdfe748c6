"""What libraries warn of is reported in the program's own form, and nowhere else."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kubectl_sew.elasticsearch.access import Access
from kubectl_sew.elasticsearch.client import Index
from kubectl_sew.library_warnings import captured
from kubectl_sew.redaction import HIDDEN
from sew_agent.app import run
from sew_agent.base.settings import from_environment

DEPRECATED = "this request is deprecated, see https://elastic.test/docs?token=s3cret"
SHOWN = "this request is deprecated, see https://elastic.test"


class _Warning(BaseHTTPRequestHandler):
    """Elasticsearch, as far as it warns: nothing is found, and each answer says that it was asked in an old way."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Warning", f'299 Elasticsearch-8.17.0-0 "{DEPRECATED}"')
        body = b'{"hits": {"hits": []}, "_shards": {"failed": 0}}' if "_search" in self.path else b"{}"
        if "/_mapping?ignore" in self.path:
            body = b'{"events": {"mappings": {"properties": {"type": {"type": "keyword"}}}}}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def warning_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Warning) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def python_as_it_is() -> Iterator[None]:
    """In tests warnings are errors; to users they are shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield


def test_a_warning_of_elasticsearch_is_reported_once_without_what_its_urls_hold() -> None:
    reported: list[tuple[str, str]] = []
    with warning_server() as url, captured(lambda *message: reported.append(message)):
        index = Index(Access((url,)), "events")
        index.search({})
        index.search({})
        index.close()
    assert reported == [("ElasticsearchWarning", SHOWN)]


def test_a_credential_that_a_warning_repeats_is_hidden() -> None:
    reported: list[tuple[str, str]] = []
    with warning_server() as url, captured(lambda *message: reported.append(message)):
        index = Index(Access((url,), token="deprecated"), "events")
        index.search({})
        index.close()
    assert reported == [("ElasticsearchWarning", SHOWN.replace("deprecated", HIDDEN))]


def test_the_plugin_prints_one_line_for_a_warning_of_elasticsearch() -> None:
    command = (sys.executable, "-m", "kubectl_sew.cli.main", "fields", "--elasticsearch")
    with warning_server() as url:
        ran = subprocess.run([*command, url, "-o", "json"], capture_output=True, text=True, check=False)
    assert ran.stderr.splitlines() == [f"warning: ElasticsearchWarning: {SHOWN}"]


def test_pythons_own_warnings_are_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    reported: list[tuple[str, str]] = []
    with captured(lambda *message: reported.append(message)):
        warnings.warn("old\nand gone", FutureWarning, stacklevel=1)
    assert reported == [("FutureWarning", "old and gone")]
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["kubernetes.client", "client", "urllib3.connectionpool"])
def test_a_librarys_logging_is_reported_from_warnings_on(name: str) -> None:
    reported: list[tuple[str, str]] = []
    logger = logging.getLogger(name)
    with captured(lambda *message: reported.append(message)):
        logger.info("quiet")
        logger.warning("Retrying %s", "https://user:pass@host/path")
        logging.getLogger().handlers[-1].handle(
            logging.LogRecord(name, logging.ERROR, "", 0, "a format %d that fits nothing", ("x",), None)
        )
    logger.warning("not captured any more")
    assert reported == [(name, "Retrying https://host"), (name, "a format %d that fits nothing")]


def test_the_agent_logs_a_warning_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(*_: object) -> None:
        warnings.warn("https://host/path is old", FutureWarning, stacklevel=1)
        raise SystemExit

    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sew_agent.app.open_environment", warn)
    with pytest.raises(SystemExit):
        run(from_environment({}, {"state": str(tmp_path), "webhooks": str(tmp_path), "events": "-"})[0], ())
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["level"], line["event"], line["source"]) == ("warning", "library_warning", "FutureWarning")
    assert line["message"] == "https://host is old"
