"""Whose programs the tests run: a person's own before what is built here."""

from pathlib import Path

import pytest

from testbed.servers import kubernetes
from testbed.servers.kubernetes import ControlPlanePrograms, find, kubectl


def test_the_folder_that_envtest_names_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kube-apiserver", "etcd", "kubectl"):
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert find() == ControlPlanePrograms(tmp_path / "kube-apiserver", tmp_path / "etcd", tmp_path / "kubectl")


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
