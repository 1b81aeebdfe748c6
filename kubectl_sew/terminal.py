"""Text that steers no terminal, whatever files, events, a cluster, a pod or a receiver say. For both programs."""

_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Python holds these for unprintable, and they are harmless."""


def harmless(text: str) -> str:
    """A text without what could steer a terminal, or turn round the order in which it is read."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" or each in _SPACES else "\ufffd" for each in text)


def harmless_json(text: str) -> str:
    """JSON that says the same, with escapes for what could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t\r" else _escape(each) for each in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
