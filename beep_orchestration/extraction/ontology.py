"""Which types and relations an extraction may use, read from OWL or RDFS in Turtle.

What is read, and nothing else:

* classes: `owl:Class` and `rdfs:Class`, with `rdfs:label`, `skos:altLabel` (other names) and `rdfs:subClassOf`;
* relations: `owl:ObjectProperty` and `rdf:Property`, with `rdfs:label`, `rdfs:domain`, `rdfs:range`,
  `skos:altLabel`: phrases that state the relation from subject to object ('work for', 'founder of'), and
  `beep:inverseLabel`: phrases that state it from object to subject ('employ');
* examples of a relation, from which the local extractor learns:
  `:director beep:example [ beep:text "Alien was directed by Ridley Scott." ; beep:subject "Alien" ;
  beep:object "Ridley Scott" ]`.

Verbs stand in their base form and passives as participles without 'be': 'acquire', 'born in'; 'acquired by' needs no
mention, being 'acquire' the other way round. The built-in ontology, `builtin.ttl`, is an example.
Several domains (or ranges) mean any of them; OWL would read 'all', which no published extraction ontology means.
A domain or range that is not declared as a class constrains nothing. The text is data: no import is followed and
nothing is fetched.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from beep_orchestration.errors import InvalidOntologyError
from beep_orchestration.extraction.model import Example, ExampleTriple, Value

if TYPE_CHECKING:
    from rdflib import Graph
    from rdflib.term import Node

VOCABULARY = "urn:beep-orchestration:vocabulary#"
_EXAMPLE_PARTS = ("text", "subject", "object")
THING = "Thing"
"""The type of what no class of the ontology fits: owl:Thing, which is above every class."""


class OntologyClass(Value):
    """A type of entities; `name` is unique in its ontology, and the `Entity.type`."""

    iri: str
    name: str
    labels: tuple[str, ...]
    superclasses: tuple[str, ...]


class OntologyRelation(Value):
    """A type of relations; `name` is unique in its ontology, and the `Relation.predicate`.

    `domain` and `range` are names of classes; empty means anything.
    """

    iri: str
    name: str
    phrases: tuple[str, ...]
    inverse_phrases: tuple[str, ...]
    domain: tuple[str, ...]
    range: tuple[str, ...]


class Ontology(Value):
    """Classes and relations, each sorted by name, and examples. `digest` is that of the Turtle text."""

    classes: tuple[OntologyClass, ...]
    relations: tuple[OntologyRelation, ...]
    examples: tuple[Example, ...] = ()
    digest: str

    @cached_property
    def _ancestors(self) -> dict[str, frozenset[str]]:
        parents = {found.name: found.superclasses for found in self.classes}
        return {name: frozenset(_closure(name, parents)) for name in parents}

    def is_a(self, type_name: str, class_name: str) -> bool:
        """Whether the type is that class, or below it."""
        return class_name in self._ancestors.get(type_name, ())

    def allows(self, relation: OntologyRelation, subject_type: str, object_type: str) -> bool:
        """Whether the relation's domain and range admit these types."""
        return self._admits(relation.domain, subject_type) and self._admits(relation.range, object_type)

    def _admits(self, constraint: tuple[str, ...], type_name: str) -> bool:
        return not constraint or any(self.is_a(type_name, name) for name in constraint)


def load_ontology(turtle: str | None) -> Ontology:
    """The ontology of that Turtle text, or the built-in one. The last few are kept, so calling it again costs nothing.

    Raises:
        InvalidOntologyError: the text is not Turtle (with the line), declares no class, or has half an example.
    """
    return _load(_builtin() if turtle is None else turtle)


def _builtin() -> str:
    return resources.files(__package__).joinpath("builtin.ttl").read_text(encoding="utf-8")


@lru_cache(maxsize=8)
def _load(turtle: str) -> Ontology:
    graph = _parse(turtle)
    names = _class_names(graph)
    if not names:
        raise InvalidOntologyError("ontology", "declares no class", "declare at least one owl:Class with an rdfs:label")
    return Ontology(
        classes=tuple(sorted(_classes(graph, names), key=lambda found: found.name)),
        relations=tuple(sorted(_relations(graph, names), key=lambda found: found.name)),
        examples=_examples(graph),
        digest=hashlib.sha256(turtle.encode()).hexdigest(),
    )


def _parse(turtle: str) -> "Graph":
    from rdflib import Graph  # noqa: PLC0415 - slow to import, and needed only here
    from rdflib.plugins.parsers.notation3 import BadSyntax  # noqa: PLC0415

    graph = Graph()
    last_line = turtle.rstrip().count("\n") + 1
    try:
        return graph.parse(data=turtle, format="turtle")
    except BadSyntax as error:
        line = min(error.lines + 1, last_line)  # at its end the parser counts some lines twice
        raise _not_turtle(f"line {line}: {error._why}") from error  # noqa: SLF001 - str() adds bytes reprs
    except RecursionError as error:
        raise _not_turtle("it is nested too deeply") from error
    except Exception as error:  # the parser runs off the end of a truncated text with whatever comes up
        raise _not_turtle(f"line {last_line}: the text ends in the middle of a statement") from error


def _not_turtle(problem: str) -> InvalidOntologyError:
    return InvalidOntologyError(
        "ontology", f"is not Turtle: {problem}", "correct it, or leave it out for the built-in one"
    )


def _class_names(graph: "Graph") -> "dict[Node, str]":
    from rdflib import OWL, RDFS  # noqa: PLC0415

    return _names(graph, _instances(graph, (OWL.Class, RDFS.Class)))


def _classes(graph: "Graph", names: "dict[Node, str]") -> list[OntologyClass]:
    from rdflib import RDFS, SKOS  # noqa: PLC0415

    return [
        OntologyClass(
            iri=str(node),
            name=name,
            labels=_texts(graph, node, RDFS.label, SKOS.altLabel) or (name,),
            superclasses=_named(graph, node, RDFS.subClassOf, names),
        )
        for node, name in names.items()
    ]


def _relations(graph: "Graph", classes: "dict[Node, str]") -> list[OntologyRelation]:
    from rdflib import RDFS, SKOS, URIRef  # noqa: PLC0415

    names = _relation_names(graph)
    return [
        OntologyRelation(
            iri=str(node),
            name=name,
            phrases=_texts(graph, node, RDFS.label, SKOS.altLabel) or (name,),
            inverse_phrases=_texts(graph, node, URIRef(VOCABULARY + "inverseLabel")),
            domain=_named(graph, node, RDFS.domain, classes),
            range=_named(graph, node, RDFS.range, classes),
        )
        for node, name in names.items()
    ]


def _relation_names(graph: "Graph") -> "dict[Node, str]":
    from rdflib import OWL, RDF  # noqa: PLC0415

    return _names(graph, _instances(graph, (OWL.ObjectProperty, RDF.Property)))


def _examples(graph: "Graph") -> tuple[Example, ...]:
    """One for each text, with the triples of all relations."""
    from rdflib import URIRef  # noqa: PLC0415

    by_text: dict[str, list[ExampleTriple]] = {}
    for node, name in _relation_names(graph).items():
        for example in graph.objects(node, URIRef(VOCABULARY + "example")):
            text, subject, target = (
                next(iter(_texts(graph, example, URIRef(VOCABULARY + part))), "") for part in _EXAMPLE_PARTS
            )
            if not (text and subject and target):
                raise InvalidOntologyError(
                    "ontology",
                    f"has an incomplete example of {name!r}",
                    "give each example a beep:text, a beep:subject and a beep:object",
                )
            by_text.setdefault(text, []).append(ExampleTriple(subject=subject, relation=name, object=target))
    return tuple(
        Example(text=text, triples=tuple(sorted(triples, key=lambda triple: triple.model_dump_json())))
        for text, triples in sorted(by_text.items())
    )


def _instances(graph: "Graph", types: "Iterable[Node]") -> "Sequence[Node]":
    from rdflib import RDF, URIRef  # noqa: PLC0415

    found = {node for kind in types for node in graph.subjects(RDF.type, kind) if isinstance(node, URIRef)}
    return sorted(found)


def _names(graph: "Graph", nodes: "Sequence[Node]") -> "dict[Node, str]":
    """A readable, unique name each: the label, with the IRI's last part where two share it."""
    from rdflib import RDFS  # noqa: PLC0415

    names: dict[Node, str] = {}
    taken: set[str] = set()
    for node in nodes:
        local = str(node).rstrip("/#").rsplit("#", 1)[-1].rsplit("/", 1)[-1] or str(node)
        labels = _texts(graph, node, RDFS.label)
        name = labels[0] if labels else local
        if name in taken:
            name = f"{name} ({local})" if f"{name} ({local})" not in taken else str(node)
        names[node] = name
        taken.add(name)
    return names


def _texts(graph: "Graph", node: "Node", *predicates: "Node") -> tuple[str, ...]:
    """Plain and English texts before those in other languages."""
    found = [
        literal for predicate in predicates for literal in sorted(graph.objects(node, predicate), key=_english_first)
    ]
    return tuple(dict.fromkeys(text for literal in found if (text := " ".join(str(literal).split()))))


def _english_first(literal: "Node") -> tuple[bool, str]:
    return not (getattr(literal, "language", None) or "en").startswith("en"), str(literal)


def _named(graph: "Graph", node: "Node", predicate: "Node", names: "dict[Node, str]") -> tuple[str, ...]:
    return tuple(sorted(names[found] for found in graph.objects(node, predicate) if found in names))


def _closure(name: str, parents: dict[str, tuple[str, ...]]) -> Iterable[str]:
    """The name and all above it; a cycle ends."""
    seen = {name}
    waiting = [name]
    while waiting:
        for parent in parents[waiting.pop()]:
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return seen
