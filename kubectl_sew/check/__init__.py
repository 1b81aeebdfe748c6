"""The checks of `kubectl sew check` on an installation.

`gather` asks the cluster once and gives `Facts`; every check is a small pure judgement over them, and stands in one of
the tables of `checks`. A new check is one row there, and one section in docs/troubleshooting.md.
"""
