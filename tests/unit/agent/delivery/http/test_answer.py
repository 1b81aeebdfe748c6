"""Answers in pieces: wherever they are cut, they are read the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sew_agent.delivery.http.answer import (
    BODY_LIMIT,
    MOST_CHUNK_LINES,
    MOST_HEADER_LINES,
    MOST_INTERIM,
    MOST_OF_A_HEAD,
    MOST_OF_CHUNK_LINES,
    AnswerReader,
    BadAnswerError,
    NoAnswerError,
)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: a\r\n\r\n"
ANSWERS = {
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello": (200, b"hello", True),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b"", True),
    b"HTTP/1.1 200\ncontent-length: 2\n\nok": (200, b"ok", True),
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok": (200, b"ok", False),
    b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok": (200, b"ok", True),
    b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 2\r\n\r\nok": (200, b"ok", False),
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok": (200, b"ok", True),
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok": (200, b"ok", False),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nx: y\r\n\r\n": (
        200,
        b"hello",
        True,
    ),
    INTERIM + b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n": (201, b"", True),
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n": (101, b"", False),
    b"HTTP/1.1 200 OK\r\nno header\r\ncontent-length: 2\r\n\r\nok": (200, b"ok", False),
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more": (200, b"ok", False),
}


def read(pieces: list[bytes], method: str = "POST") -> AnswerReader:
    reader = AnswerReader(method)
    for number, piece in enumerate(pieces):
        if reader.feed(piece):
            assert b"".join(pieces[number + 1 :]) in b"ok and more"
            return reader
    raise AssertionError("the answer has no end")


@pytest.mark.parametrize(("answer", "status", "body", "open_"), [(raw, *meant) for raw, meant in ANSWERS.items()])
def test_an_answer_is_read_as_it_is_meant(answer: bytes, status: int, body: bytes, *, open_: bool) -> None:
    reader = read([answer])
    assert (reader.status, reader.body, reader.leaves_open) == (status, body, open_)


@given(answer=st.sampled_from([raw for raw in ANSWERS if b"and more" not in raw]), chance=st.randoms())
def test_wherever_an_answer_is_cut_it_is_read_the_same(answer: bytes, chance: object) -> None:
    cuts = sorted(chance.randrange(len(answer) + 1) for _ in range(5))  # type: ignore[attr-defined]
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True) if start < end]
    reader = read(pieces)
    assert (reader.status, reader.body, reader.leaves_open) == ANSWERS[answer]


@given(answer=st.sampled_from([raw for raw in ANSWERS if b"and more" not in raw]), share=st.floats(0, 0.999))
def test_an_answer_that_is_cut_off_is_none(answer: bytes, share: float) -> None:
    begun = answer[: int(len(answer) * share)]
    reader = AnswerReader("POST")
    if begun and reader.feed(begun):
        raise AssertionError("it has no end yet")
    if b"\r\n0\r\n" in begun:
        assert reader.feed(b""), "the last chunk says that nothing is missing"
        return
    with pytest.raises(BadAnswerError if begun else NoAnswerError):
        reader.feed(b"")


@pytest.mark.parametrize("begun", [b"SSH-2.0", b"\r\n", b"HTTP/2 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"<html>"])
def test_what_is_not_http_is_known_at_once(begun: bytes) -> None:
    with pytest.raises(BadAnswerError):
        AnswerReader("POST").feed(begun)


@pytest.mark.parametrize("endless", [b"x: y\r\n" * 20, b"y" * 1000])
def test_a_head_that_does_not_end_is_given_up(endless: bytes) -> None:
    reader = AnswerReader("POST")
    reader.feed(b"HTTP/1.1 100 Continue\r\n")
    for _ in range(MOST_OF_A_HEAD // len(endless) - 1):
        assert not reader.feed(endless)
    with pytest.raises(BadAnswerError):
        reader.feed(endless * 2)


@pytest.mark.parametrize("line", [b"x: y\r\n", b" folded\n", b"no header\n"])
def test_lines_of_headers_are_counted(line: bytes) -> None:
    begin = b"HTTP/1.1 204 No Content\r\n"
    assert read([begin + line * MOST_HEADER_LINES + b"\n"]).status == 204
    with pytest.raises(BadAnswerError):
        AnswerReader("POST").feed(begin + line * (MOST_HEADER_LINES + 1) + b"\n")


def test_interim_answers_are_counted_and_their_bytes_too() -> None:
    interim, final = b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
    assert read([interim * MOST_INTERIM + final]).status == 204
    with pytest.raises(BadAnswerError):
        AnswerReader("POST").feed(interim * (MOST_INTERIM + 1))
    long = b"HTTP/1.1 102 Processing\r\nx: " + b"y" * (MOST_OF_A_HEAD // 2) + b"\r\n\r\n"
    with pytest.raises(BadAnswerError):
        AnswerReader("POST").feed(long * 2)


@pytest.mark.parametrize("head", [b"content-length: 1000000", b"transfer-encoding: chunked", b"x: y"])
def test_a_huge_body_is_cut_and_ends_the_connection(head: bytes) -> None:
    reader = AnswerReader("POST")
    reader.feed(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
    for _ in range(100):
        if reader.feed(b"400\r\n" + b"x" * 1024 + b"\r\n"):
            break
    assert BODY_LIMIT < len(reader.body) <= BODY_LIMIT + 1
    assert not reader.leaves_open


@pytest.mark.parametrize("method", ["HEAD", "CONNECT"])
def test_an_answer_to_these_has_no_body(method: str) -> None:
    assert read([b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"], method).body == b""


def test_names_of_headers_are_lower_case_and_a_line_may_go_on_in_the_next() -> None:
    reader = read(
        [b"HTTP/1.1 200 OK\r\nX-One : a\r\n  b\r\nRetry-After: 1\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n"]
    )
    assert reader.headers == {"x-one": "a b", "retry-after": "2", "content-length": "0"}


def test_chunks_that_carry_hardly_a_body_end_before_they_fill_the_time_of_all() -> None:
    reader = AnswerReader("POST")
    reader.feed(CHUNKED)
    chunk = b"1;" + b"x" * 60_000 + b"\r\ny\r\n"
    for _ in range(MOST_OF_CHUNK_LINES // 60_000):
        assert not reader.feed(chunk)
    with pytest.raises(BadAnswerError):
        reader.feed(chunk)


@pytest.mark.parametrize("end", [b"1\r\ny\r\n", b"0\r\n" + b"x: y\r\n"])
def test_a_body_in_too_many_chunks_is_cut_and_its_answer_counts(end: bytes) -> None:
    chunks = MOST_CHUNK_LINES - 1
    reader = AnswerReader("POST")
    assert not reader.feed(CHUNKED + b"1\r\ny\r\n" * chunks)
    assert reader.feed(end * 2)
    assert (reader.status, reader.body[:chunks], reader.leaves_open) == (200, b"y" * chunks, False)


def test_small_chunks_carry_a_whole_body() -> None:
    size = BODY_LIMIT // (MOST_CHUNK_LINES - 2) + 1
    chunk, whole = b"%x\r\n" % size + b"y" * size + b"\r\n", BODY_LIMIT // size
    reader = read([CHUNKED, chunk * whole, b"0\r\n\r\n"])
    assert (reader.body, reader.leaves_open) == (b"y" * size * whole, True)
