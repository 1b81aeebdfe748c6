"""Addresses that may be connected to, and those that may not."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sew_agent.delivery.http.resolver
from sew_agent.base.settings import parse_rules
from sew_agent.delivery.http.egress import EgressGuard, OwnEndpoints
from sew_agent.delivery.http.event_loop import finish
from sew_agent.delivery.http.resolver import Resolver

ALWAYS = "link-local, metadata, multicast and unspecified addresses are always refused"
LOOPBACK = "loopback is refused unless SEW_EGRESS_ALLOW allows it"
DENIED = "SEW_EGRESS_DENY refuses it"
OPEN = EgressGuard(allow=parse_rules("0.0.0.0/0,::/0"))


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        ("169.254.169.254", ALWAYS),
        ("169.254.0.1", ALWAYS),
        ("fe80::1", ALWAYS),
        ("fd00:ec2::254", ALWAYS),
        ("fd00:ec2::23", ALWAYS),
        ("fd20:ce::254", ALWAYS),
        ("fd00:42::42", ALWAYS),
        ("192.0.0.192", ALWAYS),
        ("64:ff9b:1::a9fe:a9fe", ALWAYS),
        ("64:ff9b:1:a9fe:a9:fe00::", ALWAYS),
        ("64:ff9b:1:a9:fe:a9fe::", ALWAYS),
        ("64:ff9b:1:0:a9:fea9:fe00:0", ALWAYS),
        ("2001:0:a9fe:a9fe::1", ALWAYS),
        ("2001:0:5db8:d822:0:0:5601:5601", ALWAYS),
        ("::ffff:0:a9fe:a9fe", ALWAYS),
        ("fd12::5efe:a9fe:a9fe", ALWAYS),
        ("fd12::200:5efe:a9fe:a9fe", ALWAYS),
        ("64:ff9b:1::7f00:1", LOOPBACK),
        ("100.100.100.200", ALWAYS),
        ("168.63.129.16", ALWAYS),
        ("0.0.0.0", ALWAYS),
        ("::", ALWAYS),
        ("::2", ALWAYS),
        ("224.0.0.1", ALWAYS),
        ("239.255.255.255", ALWAYS),
        ("ff02::1", ALWAYS),
        ("::ffff:169.254.169.254", ALWAYS),
        ("64:ff9b::a9fe:a9fe", ALWAYS),
        ("2002:a9fe:a9fe::1", ALWAYS),
        ("::a9fe:a9fe", ALWAYS),
        ("::ffff:0.0.0.0", ALWAYS),
        ("127.0.0.1", LOOPBACK),
        ("127.255.255.254", LOOPBACK),
        ("::1", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("64:ff9b::7f00:1", LOOPBACK),
        ("2002:7f00:1::", LOOPBACK),
        ("10.0.0.1", ""),
        ("172.16.0.1", ""),
        ("192.168.1.1", ""),
        ("fd12::1", ""),
        ("fd00:ec3::254", ""),
        ("fd20:ce::255", ""),
        ("192.0.0.193", ""),
        ("64:ff9b:1::5db8:d822", ""),
        ("100.100.100.201", ""),
        ("168.63.129.17", ""),
        ("169.253.255.255", ""),
        ("169.255.0.0", ""),
        ("93.184.216.34", ""),
        ("2606:2800:220:1::1", ""),
        ("::ffff:10.0.0.1", ""),
    ],
)
def test_without_settings_only_loopback_and_what_is_never_a_receiver_is_refused(address: str, refusal: str) -> None:
    assert EgressGuard().refusal(ip_address(address), 443) == refusal


@given(
    st.integers(0x0100_0000, 0xFFFF_FFFF),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**24 - 1),
    st.sampled_from([48, 56, 64]),
)
@example(0x01020304, 0, 0, 48)
def test_an_address_that_an_operators_nat64_embeds_is_judged_whatever_the_prefixs_length(
    ipv4: int, subnet: int, suffix: int, length: int
) -> None:
    """https://www.rfc-editor.org/rfc/rfc6052#section-2.2: bits 64 to 71 are skipped."""
    bits = f"{0x64FF9B0001:048b}{f'{subnet:016b}'[: length - 48]}{ipv4:032b}"
    after = f"{bits[64:]}{suffix:024b}{0:056b}"[:56]
    address = IPv6Address(int(f"{bits[:64]}{0:08b}{after}", 2))
    guard = EgressGuard(deny=parse_rules(str(IPv4Address(ipv4))))
    assert guard.refusal(address, 443) in (DENIED, ALWAYS)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "fe80::1", "224.0.0.1"])
def test_what_is_always_refused_cannot_be_allowed(address: str) -> None:
    assert OPEN.refusal(ip_address(address), 443) == ALWAYS


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1"])
def test_loopback_can_be_allowed(address: str) -> None:
    assert OPEN.refusal(ip_address(address), 443) == ""


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "2001:db8::1"])
def test_deny_comes_before_allow(address: str) -> None:
    guard = EgressGuard(allow=parse_rules("0.0.0.0/0,::/0"), deny=parse_rules("10.0.0.0/8, 2001:db8::/32"))
    assert guard.refusal(ip_address(address), 443) == DENIED


def test_allow_only_adds_to_what_is_allowed() -> None:
    guard = EgressGuard(allow=parse_rules("127.0.0.1"))
    assert guard.refusal(ip_address("127.0.0.1"), 443) == ""
    assert guard.refusal(ip_address("127.0.0.2"), 443) == LOOPBACK
    assert guard.refusal(ip_address("10.0.0.1"), 443) == ""


def test_a_mapped_network_in_the_settings_matches_the_mapped_address_itself() -> None:
    assert DENIED in EgressGuard(deny=parse_rules("::ffff:10.0.0.0/104")).refusal(ip_address("::ffff:10.0.0.1"), 443)


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "127.1", "0x7f.1"])
def test_other_ways_to_write_loopback_are_judged_as_loopback(host: str) -> None:
    try:
        addresses = Resolver().resolve(host, 80, 5.0)
    except socket.gaierror:
        return
    assert all(LOOPBACK in EgressGuard().refusal(address, 443) for address in addresses)


@pytest.mark.parametrize(
    ("rules", "address", "port", "named"),
    [
        ("10.0.0.0/8:443", "10.1.2.3", 443, True),
        ("10.0.0.0/8:443", "10.1.2.3", 8443, False),
        ("10.1.2.3:443", "10.1.2.3", 443, True),
        ("[2001:db8::/32]:443", "2001:db8::1", 443, True),
        ("[2001:db8::/32]:443", "2001:db8::1", 80, False),
        ("[2001:db8::1]", "2001:db8::1", 80, True),
        ("2001:db8::1", "2001:db8::1", 80, True),
        ("10.0.0.0/8:443", "::ffff:10.1.2.3", 443, True),
    ],
)
def test_a_rule_may_name_a_port(rules: str, address: str, port: int, named: bool) -> None:
    assert (DENIED in EgressGuard(deny=parse_rules(rules)).refusal(ip_address(address), port)) is named
    loopback = EgressGuard(allow=parse_rules(f"127.0.0.1:{port}"))
    assert loopback.refusal(ip_address("127.0.0.1"), port) == ""
    assert LOOPBACK in loopback.refusal(ip_address("127.0.0.1"), port + 1)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8:", "10.0.0.0/8:x", "10.0.0.0/8:0", "10.0.0.0/8:65536", "host:443", "[::1"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be addresses or CIDRs"):
        parse_rules(text)


OWN = {
    "https://10.96.0.1:443": "the cluster's API server",
    "https://elastic.example": "the agent's own Elasticsearch",
    "http://elastic.example:9200": "the agent's own Elasticsearch",
    "postgresql://db.example:5432": "the agent's own PostgreSQL",
}


def own(*addresses: str) -> OwnEndpoints:
    return OwnEndpoints(OWN, Resolver(lambda *_: addresses))


@pytest.mark.parametrize(
    ("address", "port", "what"),
    [
        ("10.96.0.1", 443, "the cluster's API server"),
        ("::ffff:10.96.0.1", 443, "the cluster's API server"),
        ("10.96.0.1", 8443, ""),
        ("10.2.0.1", 9200, "the agent's own Elasticsearch"),
        ("10.2.0.2", 443, "the agent's own Elasticsearch"),
        ("10.2.0.1", 5432, "the agent's own PostgreSQL"),
        ("10.2.0.3", 443, ""),
        ("10.7.7.7", 10250, "the kubelet's port 10250"),
    ],
)
def test_what_the_agent_itself_is_connected_to_is_refused_unless_it_is_allowed(
    address: str, port: int, what: str
) -> None:
    guard = EgressGuard(own=own("10.2.0.1", "10.2.0.2"))
    finish([guard.prepare(port)])
    reason = guard.refusal(ip_address(address), port)
    assert reason == (f"{what} is refused unless SEW_EGRESS_ALLOW allows it" if what else "")
    allowing = EgressGuard(parse_rules(f"[{address}]:{port}"), own=own("10.2.0.1"))
    assert allowing.refusal(ip_address(address), port) == ""


@pytest.mark.parametrize(
    ("url", "port"), [("http://es.example", 80), ("https://es.example", 443), ("https://a:9200", 9200)]
)
def test_the_port_of_what_the_agent_is_connected_to_is_that_of_the_scheme_unless_it_is_named(
    url: str, port: int
) -> None:
    guard = EgressGuard(
        own=OwnEndpoints({url: "Elasticsearch", "https://": "nothing"}, Resolver(lambda *_: ["10.2.0.1"]))
    )
    for asked in (80, 443, 9200):
        finish([guard.prepare(asked)])
        assert bool(guard.refusal(ip_address("10.2.0.1"), asked)) is (asked == port)


def test_what_the_agent_is_connected_to_is_known_from_its_last_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sew_agent.delivery.http.resolver, "KEPT_FOR", 0.0)
    answers = [["10.2.0.1"]]

    def lookup(*_: object) -> list[str]:
        if not answers:
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        return answers.pop()

    guard = EgressGuard(own=OwnEndpoints({"http://elastic.example:9200": "Elasticsearch"}, Resolver(lookup)))
    for _ in range(2):
        finish([guard.prepare(9200)])
        assert guard.refusal(ip_address("10.2.0.1"), 9200)
