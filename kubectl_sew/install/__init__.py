"""The parts of an installation, from the YAML of `manifests/`, and what of them differs from cluster to cluster.

`manifests` and `render` are functions from values to values; only `target` asks a cluster, and changes one.
"""

from kubectl_sew.install.plan import Host, InstallPlan, UsableCredentials
from kubectl_sew.install.render import removable, render, with_agent, without_agent

__all__ = ["Host", "InstallPlan", "UsableCredentials", "removable", "render", "with_agent", "without_agent"]
