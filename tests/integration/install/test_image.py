"""The agent's image, as `agent/Dockerfile` builds it over a local base."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server
LARGEST = 30 << 20
"""Bytes, compressed as a registry keeps them, that the agent with its libraries adds to the base."""


@pytest.fixture(scope="module")
def config(agent_archive: Path) -> Any:
    with tarfile.open(agent_archive) as image:
        return read(image, manifest(image)["config"])["config"]


def manifest(image: tarfile.TarFile) -> Any:
    index = image.extractfile("index.json")
    assert index is not None
    return read(image, json.load(index)["manifests"][0])


def read(image: tarfile.TarFile, descriptor: Any) -> Any:
    blob = image.extractfile(f"blobs/{descriptor['digest'].replace(':', '/')}")
    assert blob is not None
    return json.load(blob)


@contextmanager
def agents_layer(archive: Path) -> Iterator[tarfile.TarFile]:
    """Return what the agent's image adds to its base."""
    with tarfile.open(archive) as image:
        last = manifest(image)["layers"][-1]["digest"]
        with tarfile.open(fileobj=image.extractfile(f"blobs/{last.replace(':', '/')}")) as layer:
            yield layer


def test_it_runs_the_agent_as_a_user_that_is_not_root(config: Any) -> None:
    assert config["User"] == "65532:65532"
    assert [*config["Entrypoint"], *config["Cmd"]] == ["sew-agent", "run"]


def test_whatever_is_written_goes_into_the_state_since_the_root_may_be_read_only(config: Any) -> None:
    environment = dict(variable.partition("=")[::2] for variable in config["Env"])
    assert environment["SEW_STATE"] == environment["TMPDIR"] == "/var/lib/sew"
    assert environment["PYTHONDONTWRITEBYTECODE"]


def test_it_is_small_and_cannot_install_anything_more(agent_archive: Path) -> None:
    with tarfile.open(agent_archive) as image:
        assert manifest(image)["layers"][-1]["size"] < LARGEST
    with agents_layer(agent_archive) as layer:
        files = [member.name for member in layer if member.isfile()]
    assert "opt/sew/bin/sew-agent" in files
    assert not [name for name in files if "/pip/" in name]
    assert not [name for name in files if name.endswith("/bin/pip")]
