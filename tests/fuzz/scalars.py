"""Scalars of YAML are read back as they were written, steer no terminal, and kubectl reads them as we do."""

import json
import math
import re
import shutil
import subprocess
from random import Random

from kubectl_sew.resource.documents import read_documents
from kubectl_sew.resource.scalars import Scalar, read_plain
from kubectl_sew.resource.writing import to_yaml
from tests.fuzz.alphabet import NUMBERS, PIECES, WORDS, text

_AT_ONCE = 1_000
_PLAIN = re.compile(r"[-+]?[.\w]+", re.ASCII)
_TEXTS = tuple(piece for piece in PIECES if piece != "\ud83d")


def fuzz(n: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(n):
        value = text(random, _TEXTS)
        written = to_yaml({"value": value})
        read, findings = read_documents(written)
        assert ([document.plain() for document in read], findings) == ([{"value": value}], []), repr(value)
        assert written.replace("\n", "").isprintable(), repr(value)
    _beside_kubectl(random, n)


def _beside_kubectl(random: Random, n: int) -> None:
    """Compare with `kubectl label --local`, which asks no server. Do nothing without kubectl."""
    kubectl = shutil.which("kubectl")
    for _ in range(-(-n // _AT_ONCE) if kubectl else 0):
        texts = [text(random, (*NUMBERS, *WORDS)) for _ in range(_AT_ONCE)]
        plain = [scalar for scalar in texts if _PLAIN.fullmatch(scalar) and _finite(read_plain(scalar))]
        lines = "".join(f"  k{at}: {scalar}\n" for at, scalar in enumerate(plain))
        document = f"apiVersion: a.b/v1\nkind: X\nmetadata: {{name: a}}\nspec:\n{lines}"
        arguments = [str(kubectl), "label", "--local", "-f", "-", "x=y", "-o", "json"]
        ran = subprocess.run(arguments, input=document, capture_output=True, text=True, check=True)
        read = json.loads(ran.stdout)["spec"]
        for at, scalar in enumerate(plain):
            assert _same(read.get(f"k{at}"), read_plain(scalar)), (scalar, read.get(f"k{at}"), read_plain(scalar))


def _finite(value: Scalar) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _same(kubectls: Scalar, ours: Scalar) -> bool:
    """Return whether both are the same in JSON, of whose large numbers kubectl does not keep all digits."""
    if not isinstance(ours, bool) and isinstance(ours, int | float) and isinstance(kubectls, int | float):
        return float(kubectls) == float(ours)
    return kubectls == ours and isinstance(kubectls, bool) == isinstance(ours, bool)
