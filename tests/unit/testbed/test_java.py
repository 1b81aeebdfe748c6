"""Which Java runs which Elasticsearch, and which OpenSearch."""

from pathlib import Path

import pytest

from testbed.servers import elasticsearch
from testbed.servers.building import UnavailableError
from testbed.servers.elasticsearch import V8, V9, java_home
from testbed.servers.opensearch import V2, V3


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with Java 17 and 25, a runtime without a compiler, and something that is no Java."""
    for name, version, program in (("a", "25.0.3", "javac"), ("b", "17.0.15", "javac"), ("c", "21.0.1", "java")):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / program).touch()
        (tmp_path / name / "release").write_text(f'JAVA_VERSION="{version}"\n')
    (tmp_path / "d").mkdir()
    monkeypatch.setattr(elasticsearch, "VIRTUAL_MACHINES", tmp_path)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def test_the_oldest_compiler_that_suits_is_taken(machine: Path) -> None:
    assert (java_home(V8), java_home(V9)) == (machine / "b", machine / "a")


def test_java_home_is_taken_where_it_suits(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(machine / "c"))
    assert (java_home(V8), java_home(V9)) == (machine / "c", machine / "c")
    monkeypatch.setenv("JAVA_HOME", str(machine / "a"))
    assert (java_home(V8), java_home(V9)) == (machine / "b", machine / "a")


def test_where_none_suits_it_is_said_what_to_install(machine: Path) -> None:
    for name in "ab":
        (machine / name / "release").write_text('JAVA_VERSION="11.0.1"\n')
    with pytest.raises(
        UnavailableError, match=r"Elasticsearch 9\.0\.4 needs a JDK of version 21 or newer: set JAVA_HOME"
    ):
        java_home(V9)


def test_opensearch_2_does_without_the_newest_java(machine: Path) -> None:
    assert (java_home(V2), java_home(V3)) == (machine / "b", machine / "a")
