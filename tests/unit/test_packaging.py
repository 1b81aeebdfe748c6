"""What is shipped, and where it is built."""

from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_every_package_is_shipped() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    roots = {ROOT / "agent": "sew_agent", ROOT: "kubectl_sew"}
    packages = {
        ".".join(path.relative_to(root).parent.parts)
        for root, top in roots.items()
        for path in (root / top).rglob("__init__.py")
    } | {"kubectl_sew.manifests"}
    assert set(config["options"]["packages"].split()) == packages


def test_a_release_builds_the_archive_of_each_platform_that_krew_knows() -> None:
    known = [platform["selector"]["matchLabels"] for platform in read("krew/sew.yaml")["spec"]["platforms"]]
    built = read(".github/workflows/release.yml")["jobs"]["archive"]["strategy"]["matrix"]["include"]
    assert [(platform["os"], platform["arch"]) for platform in known] == [
        (platform["system"], platform["machine"]) for platform in built
    ]
