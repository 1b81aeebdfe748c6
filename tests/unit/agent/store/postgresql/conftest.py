"""These tests need the extra `postgresql`, which `make setup` installs."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("psycopg") else ["test_*.py"]
