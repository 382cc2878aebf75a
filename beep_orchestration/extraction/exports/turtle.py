"""A graph as RDF in Turtle.

The document is a `prov:Entity` and `nif:Context`; it contains the things named below. Entities carry their ontology
class, `rdfs:label`, `skos:altLabel`, `beep:confidence` and `prov:wasDerivedFrom` the document; each mention is a
`nif:Phrase` (`nif:anchorOf`, `nif:beginIndex`, `nif:endIndex`) that `itsrdf:taIdentRef` ties to its entity. A relation
is a plain triple of its ontology property, and besides an `rdf:Statement` with `beep:confidence` that
`prov:wasDerivedFrom` each sentence (`nif:Sentence`) which states it. `beep:label` is the extractor's coarse type.

Sources: PROV-O (W3C, 2013), NIF 2.0 Core, whose indices are code points with exclusive end as ours, and ITS RDF.
"""

import re
from decimal import Decimal
from urllib.parse import quote

import rdflib
from rdflib import DCTERMS, OWL, PROV, RDF, RDFS, SKOS, XSD, Literal, Namespace, URIRef

from beep_orchestration.extraction.exports.characters import escaped
from beep_orchestration.extraction.model import Entity, Graph, Mention, Relation, Span
from beep_orchestration.extraction.ontology import THING, VOCABULARY, Ontology

BEEP = Namespace(VOCABULARY)
NIF = Namespace("http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#")
ITSRDF = Namespace("http://www.w3.org/2005/11/its/rdf#")
ONTOLOGY = Namespace("urn:beep-orchestration:ontology#")
_NOT_IN_IRIS = re.compile(r'[\x00-\x20<>"{}|\\^`]')


def to_turtle(graph: Graph, ontology: Ontology) -> str:
    """The graph as Turtle that any parser reads back to the same names and offsets.

    Types and predicates get the ontology's IRIs, or one in `urn:beep-orchestration:ontology#` where it lacks the name.
    Entities' IRIs are made of the document's id and the entity's, so the same graph always gets the same IRIs.
    """
    return escaped(_Writer(graph, ontology).write().serialize(format="turtle"))


class _Text(Literal):
    """A string literal in valid Turtle: rdflib's own, with line feeds in it, may end in four quotes, which is none."""

    def _quote_encode(self) -> str:
        plain = self.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + plain.replace("\n", "\\n").replace("\r", "\\r") + '"'


class _Writer:
    """Adds the triples of one graph."""

    def __init__(self, graph: Graph, ontology: Ontology) -> None:
        self._graph = graph
        self._classes = {found.name: _iri(found.iri) for found in ontology.classes}
        self._properties = {found.name: _iri(found.iri) for found in ontology.relations}
        self._document = URIRef("urn:beep-orchestration:document:" + quote(graph.document_id, safe=""))
        self._entities = Namespace(self._document + "#entity/")
        self._mentions = Namespace(self._document + "#mention/")
        self._relations = Namespace(self._document + "#relation/")
        self._triples = rdflib.Graph(bind_namespaces="none")

    def write(self) -> rdflib.Graph:
        self._bind_prefixes()
        self._add_document()
        for entity in self._graph.entities:
            self._add_entity(entity)
        for number, relation in enumerate(self._graph.relations):
            self._add_relation(self._relations[str(number)], relation)
        return self._triples

    def _bind_prefixes(self) -> None:
        prefixes = {
            "beep": BEEP, "dcterms": DCTERMS, "itsrdf": ITSRDF, "nif": NIF, "owl": OWL, "prov": PROV, "rdf": RDF,
            "rdfs": RDFS, "skos": SKOS, "xsd": XSD, "ontology": ONTOLOGY,
            "entity": self._entities, "mention": self._mentions, "relation": self._relations,
        }  # fmt: skip
        for prefix, namespace in prefixes.items():
            self._triples.bind(prefix, namespace)

    def _add_document(self) -> None:
        graph, document = self._graph, self._document
        self._add(document, RDF.type, PROV.Entity)
        self._add(document, RDF.type, NIF.Context)
        self._add(document, DCTERMS.identifier, _Text(graph.document_id))
        self._add(document, BEEP.textDigest, _Text(graph.text_digest))
        if graph.title is not None:
            self._add(document, DCTERMS.title, _Text(graph.title))
        if graph.source_uri is not None:
            self._add(document, DCTERMS.source, _Text(graph.source_uri))

    def _add_entity(self, entity: Entity) -> None:
        node = self._entity(entity.id)
        self._add(node, RDF.type, self._class(entity.type))
        self._add(node, RDFS.label, _Text(entity.name))
        self._add(node, BEEP.confidence, _decimal(entity.confidence))
        self._add(node, PROV.wasDerivedFrom, self._document)
        for alias in entity.aliases:
            self._add(node, SKOS.altLabel, _Text(alias))
        for number, mention in enumerate(entity.mentions):
            self._add_mention(self._mentions[f"{quote(entity.id, safe='')}-{number}"], node, mention)

    def _add_mention(self, node: URIRef, entity: URIRef, mention: Mention) -> None:
        self._add_span(node, NIF.Phrase, mention)
        self._add(node, NIF.anchorOf, _Text(mention.text))
        self._add(node, ITSRDF.taIdentRef, entity)
        self._add(node, BEEP.label, _Text(mention.label))
        self._add(node, BEEP.confidence, _decimal(mention.confidence))

    def _add_relation(self, node: URIRef, relation: Relation) -> None:
        fact = (self._entity(relation.subject), self._property(relation.predicate), self._entity(relation.object))
        self._add(*fact)
        self._add(node, RDF.type, RDF.Statement)
        for property_, value in zip((RDF.subject, RDF.predicate, RDF.object), fact, strict=True):
            self._add(node, property_, value)
        self._add(node, BEEP.confidence, _decimal(relation.confidence))
        for number, span in enumerate(relation.evidence):
            sentence = URIRef(f"{node}-{number}")
            self._add(node, PROV.wasDerivedFrom, sentence)
            self._add_span(sentence, NIF.Sentence, span)

    def _add_span(self, node: URIRef, kind: URIRef, span: Span) -> None:
        self._add(node, RDF.type, kind)
        self._add(node, NIF.referenceContext, self._document)
        self._add(node, NIF.beginIndex, Literal(span.start, datatype=XSD.nonNegativeInteger))
        self._add(node, NIF.endIndex, Literal(span.end, datatype=XSD.nonNegativeInteger))

    def _entity(self, entity_id: str) -> URIRef:
        return self._entities[quote(entity_id, safe="")]

    def _class(self, name: str) -> URIRef:
        unknown = OWL.Thing if name == THING else ONTOLOGY[quote(name, safe="")]
        return self._classes.get(name, unknown)

    def _property(self, name: str) -> URIRef:
        return self._properties.get(name, ONTOLOGY[quote(name, safe="")])

    def _add(self, subject: URIRef, predicate: URIRef, value: URIRef | Literal) -> None:
        self._triples.add((subject, predicate, value))


def _iri(text: str) -> URIRef:
    """An ontology's IRI; rdflib's parser lets characters pass that its writer refuses."""
    return URIRef(_NOT_IN_IRIS.sub(lambda found: quote(found[0]), text))


def _decimal(number: float) -> Literal:
    """As xsd:decimal, every digit kept; rdflib writes a double with six."""
    return Literal(format(Decimal(repr(number)), "f"), datatype=XSD.decimal)
