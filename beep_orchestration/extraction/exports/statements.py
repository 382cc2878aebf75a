"""What a graph states in RDF, whichever syntax it is then written in.

The document is a `prov:Entity` and `nif:Context`; it contains the things named below. Entities carry their ontology
class, `rdfs:label`, `skos:altLabel`, `beep:confidence` and `prov:wasDerivedFrom` the document; each mention is a
`nif:Phrase` (`nif:anchorOf`, `nif:beginIndex`, `nif:endIndex`) that `itsrdf:taIdentRef` ties to its entity. A relation
is a plain triple of its ontology property, and besides an `rdf:Statement` with `beep:confidence` that
`prov:wasDerivedFrom` each sentence (`nif:Sentence`) which states it. `beep:label` is the extractor's coarse type.

Entities, mentions and statements are `prov:wasGeneratedBy` the activities that found them. An activity `prov:used` the
document and `prov:wasAssociatedWith` its extractor, a `prov:SoftwareAgent` with a name and `beep:version`. A person's
decision is a `beep:Review`, a `prov:Activity` with the person, `prov:endedAtTime`, `beep:decision`, and what it was
about: `beep:reviewed` an entity, or `rdf:subject`, `rdf:predicate` and `rdf:object` of a relation.

Sources: PROV-O (W3C, 2013), NIF 2.0 Core, whose indices are code points with exclusive end as ours, and ITS RDF.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote

from beep_orchestration.extraction.model import Entity, Graph, Mention, Relation, Review, Source, Span, Triple
from beep_orchestration.extraction.ontology import THING, VOCABULARY, Ontology

BEEP = VOCABULARY
ONTOLOGY = "urn:beep-orchestration:ontology#"
NIF = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
ITSRDF = "http://www.w3.org/2005/11/its/rdf#"
PROV = "http://www.w3.org/ns/prov#"
DCTERMS = "http://purl.org/dc/terms/"
OWL = "http://www.w3.org/2002/07/owl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
SKOS = "http://www.w3.org/2004/02/skos/core#"
XSD = "http://www.w3.org/2001/XMLSchema#"

_VOCABULARIES = {
    "beep": BEEP, "dcterms": DCTERMS, "itsrdf": ITSRDF, "nif": NIF, "ontology": ONTOLOGY, "owl": OWL, "prov": PROV,
    "rdf": RDF, "rdfs": RDFS, "skos": SKOS, "xsd": XSD,
}  # fmt: skip
_PARTS = ("entity", "mention", "relation", "activity", "review")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NOT_IN_IRIS = re.compile(r'[\x00-\x20<>"{}|\\^`\x7f-\x9f]|%(?![0-9A-Fa-f]{2})')
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


class Iri(str):
    """A name in RDF, valid in every syntax."""

    __slots__ = ()


TYPE = Iri(RDF + "type")


@dataclass(frozen=True, slots=True)
class Text:
    """A literal: a string unless it has another type."""

    value: str
    datatype: Iri | None = None


Statements = dict[Iri, list[tuple[Iri, Iri | Text]]]
"""What is said about each thing, in a fixed order."""


def statements(graph: Graph, ontology: Ontology) -> Statements:
    """All that the graph states, linear in its size.

    Types and predicates get the ontology's IRIs, or one in `urn:beep-orchestration:ontology#` where it lacks the name.
    Entities' IRIs are made of the document's id and the entity's, so the same graph always gets the same IRIs.
    """
    said: Statements = defaultdict(list)
    for subject, predicate, value in _Speaker(graph, ontology).speak():
        said[subject].append((predicate, value))
    return said


def prefixes(graph: Graph) -> dict[str, str]:
    """Short names for the namespaces of the vocabularies and of the graph's own things."""
    return _VOCABULARIES | {part: f"{_document_iri(graph)}#{part}/" for part in _PARTS}


class Shortener:
    """Writes IRIs with prefixes, where what remains is a name that needs no escape in any syntax."""

    def __init__(self, namespaces: dict[str, str]) -> None:
        self._prefixes = {namespace: prefix for prefix, namespace in namespaces.items()}

    def shorten(self, iri: Iri) -> str | None:
        """`prov:Entity`, or None if the IRI has to be written in full."""
        cut = max(iri.rfind("#"), iri.rfind("/")) + 1
        prefix = self._prefixes.get(iri[:cut])
        return f"{prefix}:{iri[cut:]}" if prefix is not None and _PLAIN_NAME.fullmatch(iri, cut) else None


Statement = tuple[Iri, Iri, Iri | Text]


class _Speaker:
    """Yields the statements of one graph."""

    def __init__(self, graph: Graph, ontology: Ontology) -> None:
        self._graph = graph
        self._classes = {found.name: _foreign(found.iri, found.name) for found in ontology.classes}
        self._properties = {found.name: _foreign(found.iri, found.name) for found in ontology.relations}
        self._document = _document_iri(graph)

    def speak(self) -> Iterator[Statement]:
        graph = self._graph
        yield from self._about_document()
        for entity in graph.entities:
            yield from self._about_entity(entity)
        for number, relation in enumerate(graph.relations):
            yield from self._about_relation(self._own("relation", str(number)), relation)
        for source in graph.provenance.sources:
            yield from self._about_source(source)
        for number, review in enumerate(graph.provenance.reviews):
            yield from self._about_review(self._own("review", str(number)), review)

    def _about_document(self) -> Iterator[Statement]:
        graph, document = self._graph, self._document
        yield document, TYPE, Iri(PROV + "Entity")
        yield document, TYPE, Iri(NIF + "Context")
        yield document, Iri(DCTERMS + "identifier"), Text(graph.document_id)
        yield document, Iri(BEEP + "textDigest"), Text(graph.text_digest)
        if graph.title is not None:
            yield document, Iri(DCTERMS + "title"), Text(graph.title)
        if graph.source_uri is not None:
            yield document, Iri(DCTERMS + "source"), Text(graph.source_uri)

    def _about_entity(self, entity: Entity) -> Iterator[Statement]:
        node = self._entity(entity.id)
        yield node, TYPE, self._class(entity.type)
        yield node, Iri(RDFS + "label"), Text(entity.name)
        for alias in entity.aliases:
            yield node, Iri(SKOS + "altLabel"), Text(alias)
        yield node, Iri(PROV + "wasDerivedFrom"), self._document
        yield from self._found(node, entity)
        for number, mention in enumerate(entity.mentions):
            yield from self._about_mention(self._own("mention", f"{entity.id}-{number}"), node, mention)

    def _about_mention(self, node: Iri, entity: Iri, mention: Mention) -> Iterator[Statement]:
        yield from self._about_span(node, Iri(NIF + "Phrase"), mention)
        yield node, Iri(NIF + "anchorOf"), Text(mention.text)
        yield node, Iri(ITSRDF + "taIdentRef"), entity
        yield node, Iri(BEEP + "label"), Text(mention.label)
        yield from self._found(node, mention)

    def _about_relation(self, node: Iri, relation: Relation) -> Iterator[Statement]:
        yield self._fact(relation)
        yield node, TYPE, Iri(RDF + "Statement")
        yield from self._parts(node, relation)
        yield from self._found(node, relation)
        for number, span in enumerate(relation.evidence):
            sentence = Iri(f"{node}-{number}")
            yield node, Iri(PROV + "wasDerivedFrom"), sentence
            yield from self._about_span(sentence, Iri(NIF + "Sentence"), span)

    def _about_span(self, node: Iri, kind: Iri, span: Span) -> Iterator[Statement]:
        yield node, TYPE, kind
        yield node, Iri(NIF + "referenceContext"), self._document
        yield node, Iri(NIF + "beginIndex"), Text(str(span.start), Iri(XSD + "nonNegativeInteger"))
        yield node, Iri(NIF + "endIndex"), Text(str(span.end), Iri(XSD + "nonNegativeInteger"))

    def _found(self, node: Iri, fact: Entity | Mention | Relation) -> Iterator[Statement]:
        yield node, Iri(BEEP + "confidence"), Text(_digits(fact.confidence), Iri(XSD + "decimal"))
        for name in fact.found_by:
            yield node, Iri(PROV + "wasGeneratedBy"), self._own("activity", name)

    def _about_source(self, source: Source) -> Iterator[Statement]:
        agent = _minted("urn:beep-orchestration:extractor:", source.extractor, source.version)
        yield agent, TYPE, Iri(PROV + "SoftwareAgent")
        yield agent, Iri(RDFS + "label"), Text(source.extractor)
        yield agent, Iri(BEEP + "version"), Text(source.version)
        for name in source.activities:
            activity = self._own("activity", name)
            yield activity, TYPE, Iri(PROV + "Activity")
            yield activity, Iri(RDFS + "label"), Text(name)
            yield activity, Iri(PROV + "used"), self._document
            yield activity, Iri(PROV + "wasAssociatedWith"), agent

    def _about_review(self, node: Iri, review: Review) -> Iterator[Statement]:
        person = _minted("urn:beep-orchestration:person:", review.by)
        yield person, TYPE, Iri(PROV + "Person")
        yield person, Iri(RDFS + "label"), Text(review.by)
        yield node, TYPE, Iri(PROV + "Activity")
        yield node, TYPE, Iri(BEEP + "Review")
        yield node, Iri(PROV + "wasAssociatedWith"), person
        yield node, Iri(PROV + "endedAtTime"), Text(review.at.isoformat(), Iri(XSD + "dateTime"))
        yield node, Iri(BEEP + "decision"), Text(review.decision)
        if review.entity is not None:
            yield node, Iri(BEEP + "reviewed"), self._entity(review.entity)
        if review.relation is not None:
            yield from self._parts(node, review.relation)
        if review.note is not None:
            yield node, Iri(RDFS + "comment"), Text(review.note)

    def _parts(self, node: Iri, fact: Relation | Triple) -> Iterator[Statement]:
        for part, value in zip(("subject", "predicate", "object"), self._fact(fact), strict=True):
            yield node, Iri(RDF + part), value

    def _fact(self, fact: Relation | Triple) -> tuple[Iri, Iri, Iri]:
        return self._entity(fact.subject), self._property(fact.predicate), self._entity(fact.object)

    def _entity(self, entity_id: str) -> Iri:
        return self._own("entity", entity_id)

    def _class(self, name: str) -> Iri:
        if name == THING and name not in self._classes:
            return Iri(OWL + "Thing")
        return self._classes.get(name) or _minted(ONTOLOGY, name)

    def _property(self, name: str) -> Iri:
        return self._properties.get(name) or _minted(ONTOLOGY, name)

    def _own(self, part: str, name: str) -> Iri:
        return _minted(f"{self._document}#{part}/", name)


def _document_iri(graph: Graph) -> Iri:
    return _minted("urn:beep-orchestration:document:", graph.document_id)


def _minted(namespace: str, *names: str) -> Iri:
    """An IRI that no name can break out of, and that differs where names differ."""
    return Iri(namespace + ":".join(quote(name, safe="") for name in names))


def _foreign(text: str, name: str) -> Iri:
    """An ontology's IRI, with what IRIs cannot hold escaped; one of ours if it is none, or looks like `prov:Entity`."""
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1] in {*_VOCABULARIES, *_PARTS}:
        return _minted(ONTOLOGY, name)
    return Iri(_NOT_IN_IRIS.sub(lambda found: quote(found[0], safe=""), text))


def _digits(number: float) -> str:
    """As xsd:decimal, every digit kept."""
    return format(Decimal(repr(number)), "f")
