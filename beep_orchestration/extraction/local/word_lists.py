"""Word lists, written as text because that is how they are read and edited."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in their order."""
    return tuple(text.split())
