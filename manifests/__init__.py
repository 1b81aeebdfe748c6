"""Shipped as the package `kubectl_sew.manifests`, so that `kubectl sew install` finds them wherever it runs."""
