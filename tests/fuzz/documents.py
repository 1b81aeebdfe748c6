"""Manifests with something hostile in them are judged, and no message about them steers a terminal."""

from pathlib import Path
from random import Random

from kubectl_sew.query import ANY, CALICO
from kubectl_sew.resource import load_manifests
from kubectl_sew.validation.manifests import validate_manifests
from tests.fuzz.alphabet import PIECES, text

_EXAMPLES = [path.read_text("utf-8") for path in sorted(Path("examples/webhooks").glob("*.yaml"))]
_MORE = (
    "\n---\n",
    "{<<: *a}",
    "&a {b: *a}",
    "<<: [*a, *b]",
    '{"kind": "SecurityEventWebhook"}',
    "? ",
    "| \n",
    "{{ .Values.x }}",
)


def fuzz(n: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(n):
        written = random.choice(_EXAMPLES)
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(written) + 1)
            gone = random.choice((0, 0, 1, 10))
            written = written[:at] + text(random, (*PIECES, *_MORE), 2) + written[at + gone :]
        _judge(written, random.choice((CALICO, ANY)))


def _judge(written: str, fields) -> None:  # type: ignore[no-untyped-def]  # either of the two
    manifests = load_manifests(written.encode("utf-8", "surrogatepass"), "f")
    for finding in validate_manifests(manifests, fields):
        assert str(finding).isprintable(), repr(written)
        assert finding.excerpt.replace("\n", "").isprintable(), repr(written)
