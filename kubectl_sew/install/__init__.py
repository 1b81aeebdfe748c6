"""What an installation consists of, from the YAML of `manifests/`, and what of it differs from cluster to cluster.

`manifests` and `render` are functions from values to values; only `target` asks a cluster, and changes one.
"""

from kubectl_sew.install.plan import Credentials, Host, Plan
from kubectl_sew.install.render import removable, render, with_agent, without_agent

__all__ = ["Credentials", "Host", "Plan", "removable", "render", "with_agent", "without_agent"]
