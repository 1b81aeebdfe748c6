"""What is shipped."""

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_is_shipped() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    inits = [path for top in ("agent", "kubectl_sew") for path in (ROOT / top).rglob("__init__.py")]
    packages = {".".join(path.relative_to(ROOT).parent.parts) for path in inits} | {"kubectl_sew.manifests"}
    assert set(config["options"]["packages"].split()) == packages
