"""Whose programs the tests run: a person's own before what is built here."""

from pathlib import Path

import pytest

from testbed.servers import kubernetes
from testbed.servers.kubernetes import ControlPlanePrograms, find, kubectl


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `KUBEBUILDER_ASSETS` names."""
    for name in ("kube-apiserver", "etcd", "kubectl"):
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    return tmp_path


def test_the_folder_that_envtest_names_comes_first(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "CHOSEN", "")
    assert find() == ControlPlanePrograms(assets / "kube-apiserver", assets / "etcd", assets / "kubectl")


@pytest.mark.usefixtures("assets")
def test_where_a_version_is_chosen_that_one_is_run_whatever_the_folder_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "CHOSEN", "1.36")
    monkeypatch.setattr(kubernetes, "kubernetes_program", lambda name: Path(f"/built/{name}-1.36"))
    monkeypatch.setattr(kubernetes, "program", lambda name, _package: Path(f"/usr/bin/{name}"))
    apiserver, own_kubectl = Path("/built/kube-apiserver-1.36"), Path("/built/kubectl-1.36")
    assert find() == ControlPlanePrograms(apiserver, Path("/usr/bin/etcd"), own_kubectl)


def test_the_kubectl_of_a_chosen_version_comes_before_a_persons_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubectl").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(kubernetes, "CHOSEN", "")
    assert kubectl() == tmp_path / "kubectl"
    monkeypatch.setattr(kubernetes, "CHOSEN", "1.36")
    monkeypatch.setattr(kubernetes, "kubernetes_program", lambda name: Path(f"/built/{name}-1.36"))
    assert kubectl() == Path("/built/kubectl-1.36")
