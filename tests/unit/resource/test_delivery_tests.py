"""The annotation with a test's result: Calico's form is written, and that and the older one are read."""

import json

import pytest

from kubectl_sew.resource.delivery_tests import read_test_result, was_delivered, write_test_result

AT = "2026-11-25T15:00:00Z"


@pytest.mark.parametrize("line", [f"{AT} delivered: 204 No Content", f"{AT} not delivered (timeout): “x” {{", AT, ""])
def test_what_is_written_is_calicos_json_and_reads_back_as_the_line(line: str) -> None:
    written = write_test_result(line, 204)
    assert json.loads(written) == {
        "httpResponseCode": 204,
        "httpResponseDescription": line,
        "timestamp": line.partition(" ")[0],
    }
    if " " in line:
        assert read_test_result(written) == line


@pytest.mark.parametrize(
    ("annotation", "line", "delivered"),
    [
        ("", "", False),
        (f"{AT} delivered: 200 OK", f"{AT} delivered: 200 OK", True),
        (f"{AT} not delivered (timeout)", f"{AT} not delivered (timeout)", False),
        (
            f'{{"httpResponseCode":200,"httpResponseDescription":"OK","timestamp":"{AT}"}}',
            f"{AT} delivered: 200 OK",
            True,
        ),
        ('{"httpResponseCode":500,"httpResponseDescription":"Oh"}', "not delivered: 500 Oh", False),
        ('{"httpResponseCode":201}', "delivered: 201", True),
        ('{"httpResponseCode":[200]}', '{"httpResponseCode":[200]}', False),
        ("{" * 100_000, "{" * 100_000, False),
    ],
)
def test_every_form_is_read(annotation: str, line: str, delivered: bool) -> None:
    assert (read_test_result(annotation), was_delivered(annotation)) == (line, delivered)
