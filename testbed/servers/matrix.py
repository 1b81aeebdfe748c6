"""Versions that take minutes to build and seldom differ are tested by `make test-matrix` alone. Free of pytest."""

import os

WHOLE_MATRIX = os.environ.get("SEW_TEST_MATRIX") == "1"
