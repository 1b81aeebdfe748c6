"""What can be wrong with a template."""


class GoSyntaxError(Exception):
    """The template is not one, or uses what is not taken. `message` holds nothing but the template's own words."""

    def __init__(self, line: int, message: str, hint: str = "") -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message
        self.hint = hint
