"""The names of parsimonious that the parser uses, loaded in half the time.

parsimonious compiles its own rules with `regex` where that is installed, else with the standard library's `re`. Loading
`regex` is a tenth of a command line's start, and a grammar over tokens has no use for it: it is hidden meanwhile.
"""

import sys

_HIDE = "regex" not in sys.modules
if _HIDE:
    sys.modules["regex"] = None  # type: ignore[assignment]  # documented: importing it fails then
try:
    from parsimonious.exceptions import ParseError
    from parsimonious.grammar import TokenGrammar
    from parsimonious.nodes import Node as Match
    from parsimonious.nodes import NodeVisitor
finally:
    if _HIDE:
        del sys.modules["regex"]

__all__ = ["Match", "NodeVisitor", "ParseError", "TokenGrammar"]
