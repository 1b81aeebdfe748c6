"""The grammar, over the tokens that `scan` finds: "" around a word names a kind of token."""

GRAMMAR = r"""
    # The empty query selects everything.
    query       = (disjunction "end") / "end"

    # NOT binds closer than AND, and AND closer than OR.
    disjunction = conjunction ("or" conjunction)*
    conjunction = factor ("and" factor)*
    factor      = "not"* primary
    primary     = bracketed / comparison / membership / emptiness
    bracketed   = "(" disjunction ")"

    # Each begins with its key; the parser remembers what stood at a place, so that the key is read once.
    comparison  = key "comparator" value
    membership  = key ("in" / "notin") "{" value ("," value)* "}"
    emptiness   = key "empty"

    # The scan has told keywords from words already: after a comparator and inside braces a keyword is a word.
    key         = "word" / "string"
    value       = "word" / "string" / "number"
"""
