"""Examples about films, to learn from."""

from itertools import cycle

from beep_orchestration.extraction.model import Example, ExampleTriple

ONTOLOGY = """
@prefix : <urn:films#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix beep: <urn:beep-orchestration:vocabulary#> .
:Film a owl:Class ; rdfs:label "film" . :Human a owl:Class ; rdfs:label "human" .
:Genre a owl:Class ; rdfs:label "genre" .
:director a owl:ObjectProperty ; rdfs:label "film maker" ; rdfs:domain :Film ; rdfs:range :Human .
:genre a owl:ObjectProperty ; rdfs:label "kind of film" ; rdfs:domain :Film ; rdfs:range :Genre .
:published a owl:ObjectProperty ; rdfs:label "publication date" ; rdfs:domain :Film .
"""
"""Its relations have names that no sentence has in it: what is found was learned."""

_FILMS = (
    ("Metropolis", "Fritz Lang", "1927", "drama"),
    ("Vertigo", "Alfred Hitchcock", "1958", "thriller"),
    ("Jaws", "Steven Spielberg", "1975", "thriller"),
    ("The Searchers", "John Ford", "1956", "western"),
    ("Rio Bravo", "Howard Hawks", "1959", "western"),
    ("Seven Samurai", "Akira Kurosawa", "1954", "drama"),
    ("Modern Times", "Charlie Chaplin", "1936", "comedy"),
    ("Some Like It Hot", "Billy Wilder", "1959", "comedy"),
    ("The Third Man", "Carol Reed", "1949", "thriller"),
    ("Citizen Kane", "Orson Welles", "1941", "drama"),
    ("High Noon", "Fred Zinnemann", "1952", "western"),
    ("The General", "Buster Keaton", "1926", "comedy"),
    ("Barry Lyndon", "Stanley Kubrick", "1975", "drama"),
    ("North by Northwest", "Alfred Hitchcock", "1959", "thriller"),
    ("Stagecoach", "John Ford", "1939", "western"),
    ("Sunset Boulevard", "Billy Wilder", "1950", "drama"),
)
_SENTENCES = (
    "{film} is a {year} {genre} film directed by {maker}.",
    "{film} is a {genre} film made by {maker} and released in {year}.",
    "{film} was directed by {maker}, and was released in {year} as a {genre} film.",
)


def films() -> list[Example]:
    """An example for each film, in sentences of three kinds."""
    return [
        Example(
            text=sentence.format(film=film, maker=maker, year=year, genre=genre),
            triples=(
                ExampleTriple(subject=film, relation="film maker", object=maker),
                ExampleTriple(subject=film, relation="kind of film", object=genre),
                ExampleTriple(subject=film, relation="publication date", object=f"01 January {year}"),
            ),
        )
        for (film, maker, year, genre), sentence in zip(_FILMS, cycle(_SENTENCES), strict=False)
    ]
