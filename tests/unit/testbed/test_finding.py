"""Whose programs the tests run: a person's own before what is built here."""

from pathlib import Path

import pytest

from testbed.servers.kubernetes import ControlPlanePrograms, find


def test_the_folder_that_envtest_names_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kube-apiserver", "etcd", "kubectl"):
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert find() == ControlPlanePrograms(tmp_path / "kube-apiserver", tmp_path / "etcd", tmp_path / "kubectl")
