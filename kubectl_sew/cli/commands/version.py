"""`kubectl sew version`."""

from typing import Any

import click

import kubectl_sew
from kubectl_sew.cli.cluster_options import kubectl, secrets_namespace_option
from kubectl_sew.cli.output import echo, print_json, print_warning
from kubectl_sew.cluster.agent import AgentError, ask_status, find_holder
from kubectl_sew.kubectl import Kubectl, KubectlError
from kubectl_sew.terminal import json_option


@click.command
@click.option("--client", is_flag=True, help="Ask no cluster: print the version of this program alone.")
@json_option
@secrets_namespace_option
@click.pass_context
def version(ctx: click.Context, client: bool, output: str | None, secrets_namespace: str) -> None:
    """Print the versions of this program, the agent and the API server.

    Without a cluster it ends with 1, as kubectl's own does, after the version of this program; `--client` asks none.
    """
    found: dict[str, Any] = {"client": kubectl_sew.__version__}
    try:
        if not client:
            found |= _of_cluster(kubectl(ctx), secrets_namespace)
    finally:
        if output:
            print_json(found)
        else:
            echo("\n".join(_lines(found)))


def _of_cluster(cluster: Kubectl, secrets_namespace: str) -> dict[str, Any]:
    """Return the versions that a cluster tells. Raises KubectlError where it tells nothing; no agent is a warning."""
    found: dict[str, Any] = {"server": str(cluster.get("/version").get("gitVersion", "unknown"))}
    try:
        holder = find_holder(cluster, secrets_namespace)
        report = ask_status(cluster, holder)["agent"]
    except (AgentError, KubectlError) as error:
        print_warning(f"the agent's version is not known: {error}")
        return found
    return found | {"agent": {"version": str(report.get("version", "unknown")), "pod": str(holder)}}


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"kubectl-sew {found['client']}"]
    if "agent" in found:
        lines.append(f"sew-agent {found['agent']['version']} ({found['agent']['pod']})")
    if "server" in found:
        lines.append(f"Kubernetes {found['server']}")
    return lines
