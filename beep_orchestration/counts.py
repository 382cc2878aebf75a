"""Numbers of things in words."""


def counted(number: int, thing: str, things: str | None = None) -> str:
    """'1 relation', '2 relations', '1,024 entities'; `things` is the plural that an s alone does not make."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
