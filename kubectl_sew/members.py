"""What a person writes as a list on one line: names, URLs, addresses, with commas between them."""


def members(text: str) -> tuple[str, ...]:
    """The members without the blanks around them; nothing between two commas is no member."""
    return tuple(each for part in text.split(",") if (each := part.strip()))
