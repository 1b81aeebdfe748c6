"""Links to what MITRE ATT&CK says about a technique or a tactic."""

import re

_TECHNIQUE = re.compile(r"[Tt](\d{4})(?:\.(\d{3}))?")
_TACTIC = re.compile(r"[Tt][Aa](\d{4})")


def link(name: str) -> str:
    """Return the page of a technique (`T1041`, `T1041.001`) or a tactic (`TA0010`) in any case; "" for other text."""
    if match := _TECHNIQUE.fullmatch(name):
        return f"https://attack.mitre.org/techniques/T{match[1]}/" + (f"{match[2]}/" if match[2] else "")
    if match := _TACTIC.fullmatch(name):
        return f"https://attack.mitre.org/tactics/TA{match[1]}/"
    return ""
