"""HTTP/1.1 answers, read strictly from bytes as they come. Pure.

An answer counts where its end is certain. What is odd in its head is passed over, as far as its end stays certain: a
receiver that has accepted an event must not get it again for a header that no specification allows.
"""

import re
from collections.abc import Sequence

BODY_LIMIT = 64 * 1024
"""Bytes of a body that are kept."""
MOST_OF_A_HEAD = 64 * 1024
"""Bytes of an answer's lines before its body, with those of interim answers."""
MOST_HEADER_LINES = 1000
"""Lines of headers in one head; Python's own client takes 100, curl 5,000."""
MOST_INTERIM = 5
"""Interim answers before the answer: as many as Go's client takes."""
MOST_OF_CHUNK_LINES = 64 * 1024
"""Bytes of the lines between chunks and behind them: their extensions could go on for ever, with a body that hardly
grows."""
MOST_CHUNK_LINES = 512
"""Lines between chunks and behind them; a body that has more of them is cut there, as one that is too long."""
_STATUS = re.compile(rb"HTTP/1\.([0-9])[ \t]+([1-9][0-9]{2})(?:[ \t].*)?", re.DOTALL)
_START = b"HTTP/1."
_HEAD_END = re.compile(rb"\n\r?\n")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile("[0-9]{1,18}", re.ASCII)
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LONGEST_LINE = 65_537
_INTERIM = (100, 102, 103, 104)
"""After 101 nothing more comes by HTTP."""


class NoAnswerError(Exception):
    """End of the connection before an answer."""


class BadAnswerError(Exception):
    """Answer that is cut off, or is not HTTP."""


class AnswerReader:
    """Reader of one answer. `status`, `headers` (lower-case names) and `body` hold once `feed` has returned True."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._method = method
        self._buffer = bytearray()
        self._head_size = self._interim = 0
        self._searched = 0
        """Bytes of the buffer in which no head ends."""
        self._begun = False
        """True when the head was read."""
        self._until_close = self._closes = False
        self._length = 0
        self._chunks: _Chunks | None = None

    @property
    def leaves_open(self) -> bool:
        """Return whether the connection can carry another request: the answer ended by itself, with nothing behind."""
        return not (self._closes or self._until_close or self._buffer) and len(self.body) <= BODY_LIMIT

    def feed(self, data: bytes) -> bool:
        """Take bytes, b"" for the end of the connection; return whether the answer is whole.

        Raises NoAnswerError, BadAnswerError.
        """
        self._buffer += data
        while not self._begun:
            if not self._read_head():
                return self._cut_off(data)
        return self._read_body(ended=not data)

    def _cut_off(self, data: bytes) -> bool:
        if data:
            return False
        raise BadAnswerError if self._buffer or self._head_size else NoAnswerError

    def _read_head(self) -> bool:
        """Read a head, an interim one too, where all of it is there."""
        if self._buffer[: len(_START)] != _START[: len(self._buffer)]:
            raise BadAnswerError
        end = _HEAD_END.search(self._buffer, max(self._searched - 2, 0))
        if self._head_size + (end.end() if end else len(self._buffer)) > MOST_OF_A_HEAD:
            raise BadAnswerError
        self._searched = len(self._buffer)
        if not end:
            return False
        first, *lines = bytes(self._buffer[: end.start()]).split(b"\n")
        if len(lines) > MOST_HEADER_LINES:
            raise BadAnswerError
        del self._buffer[: end.end()]
        self._searched = 0
        self._head_size += end.end()
        status = _STATUS.fullmatch(first.rstrip(b"\r"))
        if not status:
            raise BadAnswerError
        self.status = int(status[2])
        if self.status not in _INTERIM:
            self._begin_body(lines, persists=status[1] != b"0")
            return True
        self._interim += 1
        if self._interim > MOST_INTERIM:
            raise BadAnswerError
        return True

    def _begin_body(self, lines: Sequence[bytes], *, persists: bool) -> None:
        self._begun = True
        fields, odd = _fields(lines)
        self.headers = {name: values[-1] for name, values in fields.items()}
        chunked = fields.get("transfer-encoding", [""])[0].lower() == "chunked"
        lengths = [] if chunked else fields.get("content-length", [])
        if not all(map(_LENGTH.fullmatch, lengths)):
            raise BadAnswerError
        words = f"{self.headers.get('connection', '')} {self.headers.get('proxy-connection', '')}".lower()
        persists = "close" not in words if persists else "keep-alive" in words
        self._closes = odd or not persists or self.status < 200 or len(set(lengths)) > 1
        if self._method in ("HEAD", "CONNECT") or self.status in (204, 304) or self.status < 200:
            return
        if chunked:
            self._chunks = _Chunks()
        elif lengths:
            self._length = int(lengths[0])
        else:
            self._until_close = True

    def _read_body(self, *, ended: bool) -> bool:
        if self._chunks:
            whole = self._chunks.read(self._buffer, ended=ended)
            if whole:
                self.body = bytes(self._chunks.body)
                self._closes |= self._chunks.is_cut
        else:
            most = BODY_LIMIT + 1
            size = most if self._until_close else min(self._length, most)
            whole = len(self._buffer) >= size or (self._until_close and ended)
            if whole:
                self.body = bytes(self._buffer[:size])
                del self._buffer[:size]
        if ended and not whole:
            raise BadAnswerError
        return whole


class _Chunks:
    """Chunks of a body, read as they come."""

    def __init__(self) -> None:
        self.body = bytearray()
        self._left = 0
        """Bytes of the chunk that are still to come, with the end of its line."""
        self._trailers = False
        self._lines = self._lines_size = 0
        """Number of the lines so far, and their bytes."""

    @property
    def is_cut(self) -> bool:
        """Return whether there is more than is kept: the rest stays unread."""
        return len(self.body) > BODY_LIMIT or self._lines > MOST_CHUNK_LINES

    def read(self, data: bytearray, *, ended: bool) -> bool:
        """Take bytes out of the data; return whether the body is whole. Raises BadAnswerError."""
        at, whole = 0, False
        while not (whole or self.is_cut):
            if self._left:
                if not (taken := self._take(data, at)):
                    break
                at += taken
                continue
            end = data.find(b"\n", at)
            if end < 0:
                whole = self._trailers and ended
                break
            whole = self._read_line(bytes(data[at:end]))
            at = end + 1
        del data[:at]
        if len(data) >= _LONGEST_LINE and not self._left:
            raise BadAnswerError
        return whole or self.is_cut

    def _take(self, data: bytearray, at: int) -> int:
        """Take what is there of a chunk, or of the end of its line; return its bytes."""
        content = data[at : at + min(self._left - 2, BODY_LIMIT + 1 - len(self.body))] if self._left > 2 else b""
        taken = len(content) or min(self._left, 2, len(data) - at)
        self.body += content
        self._left -= taken
        return taken

    def _read_line(self, line: bytes) -> bool:
        """Read the line of a size, or one behind the last chunk; return whether it ends the body."""
        self._lines += 1
        self._lines_size += len(line) + 1
        if self._lines_size > MOST_OF_CHUNK_LINES:
            raise BadAnswerError
        if not self._trailers:
            self._begin_chunk(line)
            return False
        return line in (b"", b"\r")

    def _begin_chunk(self, line: bytes) -> None:
        """Read the size strictly: `-1` would be read without an end."""
        size = line.partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size):
            raise BadAnswerError
        self._trailers = int(size, 16) == 0
        self._left = 0 if self._trailers else int(size, 16) + 2


def _fields(lines: Sequence[bytes]) -> tuple[dict[str, list[str]], bool]:
    """Return header -> its values, and whether there were lines that are no headers."""
    fields: dict[str, list[list[bytes]]] = {}
    last: list[bytes] | None = None
    odd = False
    for line in lines:
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            if last:
                last.append(line)
        elif colon and _NAME.fullmatch(name := name.rstrip(b" \t")):
            last = [value]
            fields.setdefault(name.decode("latin-1").lower(), []).append(last)
        else:
            odd, last = True, None
    return {name: [_joined(parts) for parts in values] for name, values in fields.items()}, odd


def _joined(parts: Sequence[bytes]) -> str:
    """Return a header's value that may go on over several lines."""
    return b" ".join(part.strip(b" \t\r") for part in parts).strip().decode("latin-1")
