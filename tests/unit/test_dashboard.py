"""Grafana's dashboard is what its script makes, and fits into Grafana's grid."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from manifests.monitoring.make_dashboard import FILE, text

DASHBOARD: Any = json.loads(Path(FILE).read_text())


def test_the_file_is_what_the_script_makes() -> None:
    assert FILE.read_text() == text(), "run `make dashboard`"


def test_grafanas_own_types_know_every_field() -> None:
    read = Dashboard.from_json(DASHBOARD)
    assert json.loads(JSONEncoder().encode(read)) == DASHBOARD


def test_panels_are_beside_and_below_each_other_and_have_names_of_their_own() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
