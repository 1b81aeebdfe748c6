"""The language's definition, which `docs/queries.md` shows as it is. `parser` runs it over the tokens of `lexer`."""

GRAMMAR = r"""
    # Names in quotes are tokens. Between tokens blanks, tabs, line breaks and comments mean nothing: // to the end of
    # the line, and /* ... */, which may have several.
    #   word          letters, digits and _, no digit first
    #   number        5, -1.5, 2e9
    #   string        "..." or '...' with escapes, `...` without
    #   comparator    = != < <= > >=
    #   and, or, not  AND, OR, NOT in any letter case, or && || !
    #   in, notin, empty  in any letter case
    # After a comparator and inside braces a keyword is a word. "end" is the end of the text.

    # The empty query selects everything.
    query       = (disjunction "end") / "end"

    # NOT binds closer than AND, and AND closer than OR.
    disjunction = conjunction ("or" conjunction)*
    conjunction = factor ("and" factor)*
    factor      = "not"* primary
    primary     = bracketed / comparison / membership / emptiness
    bracketed   = "(" disjunction ")"

    # Each of these begins with its key.
    comparison  = key "comparator" value
    membership  = key ("in" / "notin") "{" value ("," value)* "}"
    emptiness   = key "empty"

    key         = "word" / "string"
    value       = "word" / "string" / "number"
"""
