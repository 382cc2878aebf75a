"""English nouns that say what kind of thing a name is, by coarse type.

The first words of each type are also what a class of an ontology may be called.
"""

from beep_orchestration.extraction.local.word_lists import words

LABEL_WORDS: dict[str, tuple[str, ...]] = {
    "PERSON": words(
        "person human people individual mathematician engineer scientist physicist chemist programmer"
        " inventor professor writer author novelist poet officer admiral politician president founder"
        " co-founder cofounder entrepreneur businessman businesswoman industrialist economist logician"
        " philosopher linguist cryptanalyst cryptographer codebreaker statistician astronomer historian"
        " designer developer director manager student graduate colleague assistant wife husband son daughter"
        " father mother brother sister friend countess king queen pioneer teacher researcher psychologist"
        " biologist musician composer singer artist painter actor actress lawyer technician machinist"
        " architect executive journalist lecturer banker physician surgeon doctor nurse soldier general"
        " statesman senator minister mentor collaborator employee operator personnel"
    ),
    "ORG": words(
        "organization organisation company institution agency corporation firm university college school"
        " institute laboratory laboratories lab labs manufacturer startup start-up team department division"
        " subsidiary bureau ministry office association society foundation academy museum bank newspaper"
        " publisher studio band party committee consortium council government army navy force conglomerate"
        " supplier maker employer business factory faculty center centre union club partnership inc corp ltd"
        " co llc gmbh plc church court board service hospital semiconductor electronics technologies"
        " instruments industries motors press railway railroad bookstore"
    ),
    "GPE": words(
        "place location city country town village state region county province island river mountain"
        " continent capital suburb district nation kingdom republic municipality territory area site building"
        " settlement street road park airport square hall castle palace manor estate mansion house valley bay"
        " coast lake sea ocean"
    ),
    "LANGUAGE": ("language", "languages"),
    "PRODUCT": words(
        "product artifact device machine computer computers system software program engine calculator"
        " microprocessor processor chip minicomputer mainframe microcomputer supercomputer compiler"
        " interpreter assembler protocol network browser console terminal printer loom workstation tablet"
        " phone smartphone vehicle weapon ship aircraft tabulator invention prototype kit model transistor"
        " tube drum memory architecture editor spreadsheet game library framework package tool kernel database"
        " mouse keyboard radio telegraph cipher typewriter platform website web app service satellite spacecraft rocket"
    ),
    "WORK_OF_ART": words(
        "work book paper article novel film movie album song poem essay report memo memorandum thesis"
        " treatise monograph manual textbook play opera series magazine journal newspaper painting symphony"
        " story biography autobiography letter letters notes volume dissertation manuscript draft act law"
        " treaty patent column"
    ),
    "EVENT": words(
        "event war battle conference exhibition fair demonstration demo ceremony festival meeting symposium"
        " workshop summit election revolution tournament championship match campaign strike crash contest"
        " games olympics congress"
    ),
    "AWARD": ("award", "prize", "medal", "honour", "honor", "order", "fellowship", "grant", "trophy", "scholarship"),
    "NORP": ("group", "nationality", "ethnicity", "religion"),
    "DATE": ("date", "time", "year", "day"),
}

AMBIGUOUS = frozenset(
    {
        "newspaper",
        "service",
        "house",
        "hall",
        "group",
        "general",
        "court",
        "model",
        "act",
        "order",
        "church",
        "park",
        "street",
        "road",
        "union",
    }
)
"""Words that end names of several types, and so decide nothing there."""

WORD_LABELS: dict[str, str] = {word: label for label, words in reversed(LABEL_WORDS.items()) for word in words}
"""Word to type; where two types share a word, the one named first has it."""

CONCEPT_OF_LABEL = {"LOC": "GPE", "FAC": "GPE", "LAW": "WORK_OF_ART"}
"""spaCy labels that are kinds of another."""


def singular(noun: str) -> str:
    """'companies' -> 'company', 'computers' -> 'computer'; a word that is known as it stands stays."""
    if noun in WORD_LABELS or not noun.endswith("s"):
        return noun
    return noun[:-3] + "y" if noun.endswith("ies") else noun[:-1]
