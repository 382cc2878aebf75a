"""The coarse types that a mention's `label` may have (those of OntoNotes 5), and which of them can be confused."""

PERSON = "PERSON"
ORGANIZATION = "ORG"
PLACES = frozenset({"GPE", "LOC", "FAC"})
DATES = frozenset({"DATE"})
NUMBERS = frozenset({"CARDINAL", "ORDINAL", "QUANTITY", "PERCENT", "MONEY", "TIME"})

UNKNOWN = "NAME"
"""The label of what is a name by its looks, and of which nothing more is known."""

_KINDS = {
    PERSON: "person",
    ORGANIZATION: "organization",
    "GPE": "place",
    "LOC": "place",
    "FAC": "place",
    "NORP": "group",
    "DATE": "date",
    UNKNOWN: "unknown",
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(("PRODUCT", "WORK_OF_ART", "EVENT", "LAW", "LANGUAGE"), "made"),
}


def kind_of(label: str) -> str:
    """What a coarse type names at bottom; mentions of one name and different kinds may be different things.

    A label that is not of OntoNotes is a kind of its own.
    """
    return _KINDS.get(label, label)
