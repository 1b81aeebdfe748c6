"""What an installation consists of, from the YAML of `manifests/`, and what of it differs from cluster to cluster.

`manifests` and `render` are functions from values to values; only `cluster` asks a cluster. Nothing here prints.
"""

from kubectl_sew.install.plan import Credentials, Host, Plan
from kubectl_sew.install.render import render

__all__ = ["Credentials", "Host", "Plan", "render"]
