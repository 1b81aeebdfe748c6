"""Packs how far events were read, for the Lease: a successor whose store is empty begins there. Pure.

The webhooks' conditions hold that as a time, and events that come late are dated before it. The position holds it as
numbers: what is written afterwards is above them, whatever its date.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping

from sew_agent.ingest.progress import Progress

LONGEST = 128 * 1024
"""Kubernetes allows 256 KiB of annotations."""


def pack(pattern: str, position: str) -> str:
    """Return the text of an annotation; "" where it would be too long: nothing is kept rather than something old."""
    packed = b64encode(zlib.compress(json.dumps([pattern, position]).encode())).decode()
    return packed if len(packed) <= LONGEST else ""


def unpack(text: str, pattern: str) -> str:
    """Return the position, if it was packed for the same index pattern; "" otherwise."""
    try:
        packed_for, position = json.loads(zlib.decompress(b64decode(text, validate=True)))
    except (ValueError, TypeError, zlib.error):
        return ""
    return position if packed_for == pattern and isinstance(position, str) else ""


def covered(progress: Mapping[str, Progress], checkpoints: Mapping[str, float | None]) -> bool:
    """Return whether all pending deliveries are found again by time, from the checkpoints in the conditions.

    A late event that waits is dated before its webhook's checkpoint, until a lower one is written.
    """
    return all(
        (checkpoint := checkpoints.get(name)) is None or (webhook.read_to is not None and checkpoint <= webhook.read_to)
        for name, webhook in progress.items()
    )
