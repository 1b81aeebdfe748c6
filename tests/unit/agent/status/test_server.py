"""The server of metrics, health and readiness, asked over real connections."""

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from sew_agent.base.health import Health
from sew_agent.base.settings import SettingsError
from sew_agent.status.server import CLIENTS, HealthServer
from sew_agent.store.records import StoreError
from tests import threads
from tests.clocks import ManualClock


@pytest.fixture
def server(health: Health) -> Iterator[HealthServer]:
    made = HealthServer(("127.0.0.1", 0), health, lambda: "sew_polls_total 1\n")
    made.start()
    yield made
    made.close()


def get(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.address, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    result = answer.status, answer.read().decode()
    connection.close()
    return result


def test_healthz_names_the_loop_that_stands_still(clock: ManualClock, health: Health, server: HealthServer) -> None:
    moving, stalled = health.heartbeat("poller", limit=30.0), health.heartbeat("dispatcher", limit=30.0)
    assert get(server, "/healthz") == (200, "ok\n")
    clock.now += 40.0
    moving.beat()
    assert get(server, "/healthz") == (503, "dispatcher: no progress for 40 s\n")
    stalled.beat()
    assert get(server, "/healthz") == (200, "ok\n")


def test_readyz_says_what_cannot_be_reached_and_recovers(health: Health, server: HealthServer) -> None:
    reasons = {"events": "the file is not there"}
    health.probe("events", lambda: reasons["events"])
    health.probe("webhooks", lambda: "")
    assert get(server, "/readyz") == (503, "events: the file is not there\n")
    assert get(server, "/healthz")[0] == 200
    reasons["events"] = ""
    assert get(server, "/readyz") == (200, "ok\n")


def test_metrics_are_served(server: HealthServer) -> None:
    assert get(server, "/metrics") == (200, "sew_polls_total 1\n")
    assert get(server, "/metrics?x=1")[0] == 200


def test_a_store_that_cannot_be_read_is_reported(health: Health) -> None:
    def fail() -> str:
        raise StoreError("the disk is gone")

    server = HealthServer(("127.0.0.1", 0), health, fail)
    server.start()
    assert get(server, "/metrics") == (500, "the disk is gone\n")
    server.close()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 501)])
def test_nothing_else_is_served(server: HealthServer, method: str, path: str, status: int) -> None:
    assert get(server, path, method)[0] == status


def test_clients_that_hang_keep_no_probe_out_and_the_oldest_of_them_goes(server: HealthServer) -> None:
    host, port = server.address.split(":")
    hanging = [socket.create_connection((host, int(port)), timeout=5) for _ in range(3 * CLIENTS)]
    assert get(server, "/healthz") == (200, "ok\n")
    assert hanging[0].recv(1) == b""
    for connection in hanging[:-1]:
        connection.close()
    hanging[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert hanging[-1].recv(12) == b"HTTP/1.0 200"
    hanging[-1].close()


def test_a_probe_that_is_being_answered_is_not_cut_off_by_a_flood_of_others(health: Health) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow() -> str:
        asked.set()
        answer.wait(10)
        return ""

    health.probe("events", slow)
    server = HealthServer(("127.0.0.1", 0), health, str)
    server.start()
    host, port = server.address.split(":")
    probe = socket.create_connection((host, int(port)), timeout=10)
    probe.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
    assert asked.wait(10)
    flood = [socket.create_connection((host, int(port)), timeout=5) for _ in range(3 * CLIENTS)]
    assert flood[2 * CLIENTS].recv(1) == b"", "all before the last ones were cut off, in the order in which they came"
    answer.set()
    assert probe.recv(12) == b"HTTP/1.0 200"
    for connection in (probe, *flood):
        connection.close()
    server.close()


def test_probes_are_answered_again_after_the_system_gave_no_more_threads(server: HealthServer) -> None:
    with pytest.MonkeyPatch.context() as patch:
        threads.refuse(patch, "process_request_thread")
        for _ in range(CLIENTS + 1):
            with pytest.raises(ConnectionError):
                get(server, "/healthz")
    assert get(server, "/healthz") == (200, "ok\n")


def test_any_ipv6_address_serves_ipv4_as_well(health: Health) -> None:
    server = HealthServer(("::", 0), health, str)
    server.start()
    port = server.address.rpartition(":")[2]
    for host in ("127.0.0.1", *(["::1"] if socket.has_ipv6 and server.address.startswith("[") else [])):
        with socket.create_connection((host, int(port)), timeout=5) as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.0 200"
    server.close()


def test_a_machine_without_ipv6_serves_ipv4_where_any_address_is_asked_for(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sew_agent.status.server.AF_INET6", 12345)
    server = HealthServer(("::", 0), health, str)
    server.start()
    assert server.address.startswith("0.0.0.0:")
    server.close()


def test_a_client_that_drips_is_cut_off(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sew_agent.status.server.REQUEST_SECONDS", 0.2)
    server = HealthServer(("127.0.0.1", 0), health, str)
    server.start()
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as dripping:
        cut, stop = threading.Event(), threading.Event()

        def drip() -> None:
            try:
                while not stop.wait(0.02):
                    dripping.sendall(b"x")
            except OSError:
                cut.set()

        thread = threading.Thread(target=drip)
        thread.start()
        assert cut.wait(5)
        stop.set()
        thread.join()
    server.close()


def test_a_port_that_is_taken_is_a_clear_error(server: HealthServer, health: Health) -> None:
    host, port = server.address.split(":")
    with pytest.raises(SettingsError, match=rf"^SEW_LISTEN 127.0.0.1:{port}: .*\(address already in use\): .*--listen"):
        HealthServer((host, int(port)), health, str).start()


def test_an_address_of_another_machine_is_a_clear_error(health: Health) -> None:
    with pytest.raises(SettingsError, match=r"^SEW_LISTEN 192\.0\.2\.1:9280: "):
        HealthServer(("192.0.2.1", 9280), health, str).start()


def test_ipv6_addresses_are_written_with_brackets(health: Health) -> None:
    try:
        server = HealthServer(("::1", 0), health, str)
        server.start()
    except SettingsError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert server.address.startswith("[::1]:")
    server.close()
