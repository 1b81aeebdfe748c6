"""Calico's language of templates, which is Go's html/template: lexer, parser, values, functions and evaluation. Pure.

`parser` makes a tree (`nodes`) of a text, `evaluation` writes it for an event. Nothing of Jinja2 enters here, no HTTP
and no configuration. What it does with an event is what the real Go does, byte for byte; `html_text` tells what of
html/template's contexts is not taken.
"""
