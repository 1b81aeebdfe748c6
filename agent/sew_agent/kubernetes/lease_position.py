"""How far events were read, kept in the Lease for a successor whose store is empty. Pure.

Its webhooks' conditions say it as a time, and events that come late are dated before that. The place says it as
numbers: what is written afterwards is above them, whatever its date.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping

from sew_agent.ingest.progress import Progress

LONGEST = 128 * 1024
"""Kubernetes takes 256 KiB of annotations."""


def pack(pattern: str, position: str) -> str:
    """For an annotation; "" where it would be too long, so that nothing is kept rather than something old."""
    packed = b64encode(zlib.compress(json.dumps([pattern, position]).encode())).decode()
    return packed if len(packed) <= LONGEST else ""


def unpack(text: str, pattern: str) -> str:
    """The position, if it was packed for the same index pattern; "" otherwise."""
    try:
        packed_for, position = json.loads(zlib.decompress(b64decode(text, validate=True)))
    except (ValueError, TypeError, zlib.error):
        return ""
    return position if packed_for == pattern and isinstance(position, str) else ""


def covered(progress: Mapping[str, Progress], checkpoints: Mapping[str, float | None]) -> bool:
    """Whether all that waits for delivery is found again by time, from the checkpoints that the conditions say.

    A late event that waits is dated before its webhook's checkpoint, until a lower one is written.
    """
    written = {name: checkpoints.get(name) for name in progress}
    return all(
        moment is None or (each.read_to is not None and moment <= each.read_to)
        for each, moment in ((progress[name], written[name]) for name in progress)
    )
