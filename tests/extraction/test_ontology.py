"""Ontologies are read from Turtle, completely or not at all, and nothing is fetched."""

import re
import socket
from collections import defaultdict
from itertools import product
from pathlib import Path

import pytest

from beep_orchestration.errors import InvalidOntologyError
from beep_orchestration.extraction.ontology import Ontology, load_ontology

PREFIXES = """@prefix : <http://example.org/#> .
@prefix beep: <urn:beep-orchestration:vocabulary#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
"""
SHARED = Path(__file__).parents[3] / "shared" / "eval" / "text2kgbench"


def ontology(body: str) -> Ontology:
    return load_ontology(PREFIXES + body)


def test_classes_relations_and_phrases_are_read() -> None:
    found = ontology("""
        :Ship a owl:Class ; rdfs:label "Schiff"@de, "ship"@en ; skos:altLabel "vessel" ; rdfs:subClassOf :Vehicle .
        :Vehicle a rdfs:Class .
        :sailedTo a owl:ObjectProperty ; rdfs:label "sailed to " ; rdfs:domain :Ship ; rdfs:range :Nowhere ;
            skos:altLabel "sail to" ; beep:inverseLabel "port of" .
    """)
    ship, vehicle = (next(c for c in found.classes if c.name == name) for name in ("ship", "Vehicle"))
    assert ship.labels == ("ship", "Schiff", "vessel")
    assert ship.superclasses == ("Vehicle",)
    assert vehicle.iri == "http://example.org/#Vehicle"
    (sailed,) = found.relations
    assert (sailed.name, sailed.phrases, sailed.inverse_phrases) == (
        "sailed to",
        ("sailed to", "sail to"),
        ("port of",),
    )
    assert (sailed.domain, sailed.range) == (("ship",), ())


def test_a_type_is_all_that_is_above_it_also_in_a_cycle() -> None:
    found = ontology(
        ":A a owl:Class ; rdfs:subClassOf :B . :B a owl:Class ; rdfs:subClassOf :C ."
        ":C a owl:Class ; rdfs:subClassOf :A ."
    )
    assert all(found.is_a(left, right) for left, right in product("ABC", repeat=2))
    assert not found.is_a("A", "D")
    assert not found.is_a("D", "A")


def test_several_domains_mean_any_of_them() -> None:
    found = ontology(
        ":A a owl:Class . :B a owl:Class . :C a owl:Class . :r a owl:ObjectProperty ; rdfs:domain :A, :B ."
    )
    (relation,) = found.relations
    assert found.allows(relation, "A", "C")
    assert found.allows(relation, "B", "anything")
    assert not found.allows(relation, "C", "A")


def test_names_are_unique() -> None:
    found = ontology(':A a owl:Class ; rdfs:label "thing" . :B a owl:Class ; rdfs:label "thing" .')
    assert sorted(c.name for c in found.classes) == ["thing", "thing (B)"]


@pytest.mark.parametrize(
    ("turtle", "line"),
    [
        ("@prefix x: <http://a#> .\n\nx:a a x:B ;;; , .\n", 3),
        ("hello", 1),
        ("\n<a> <b> nope:c .", 2),
        ('<a> <b> "unclosed\n', 1),
        ("<a>\n<b>\n<c>", 3),
        ("<a> <b>", 1),
        ("<a> <b>\n", 1),
        ("<a>\n<b>\n\n# no object\n\n", 4),
    ],
)
def test_malformed_turtle_is_refused_with_its_line(turtle: str, line: int) -> None:
    with pytest.raises(InvalidOntologyError, match=f"ontology: is not Turtle: line {line}:"):
        load_ontology(turtle)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InvalidOntologyError, match="nested too deeply"):
        load_ontology("<a> <b> " + "[ <c> " * 5_000)


@pytest.mark.parametrize("turtle", ["", " ", "# only a comment", "<http://a> <http://b> <http://c> ."])
def test_an_ontology_without_a_class_is_refused(turtle: str) -> None:
    with pytest.raises(InvalidOntologyError, match="declares no class; declare at least one owl:Class"):
        load_ontology(turtle)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket was opened"))
    found = ontology(
        "<http://192.0.2.1/> owl:imports <http://192.0.2.1/other.ttl> ."
        ":A a owl:Class ; rdfs:subClassOf <http://192.0.2.1/B> ."
    )
    assert [c.name for c in found.classes] == ["A"]


def test_the_same_text_gives_the_same_object() -> None:
    assert load_ontology(None) is load_ontology(None)


def test_an_ontology_travels_as_json() -> None:
    builtin = load_ontology(None)
    assert Ontology.model_validate_json(builtin.model_dump_json()) == builtin


def test_every_relation_of_the_built_in_ontology_has_domain_range_and_label() -> None:
    builtin = load_ontology(None)
    for relation in builtin.relations:
        assert relation.domain, relation.name
        assert relation.range, relation.name
        assert not re.search(r"[A-Z]", relation.name), relation.name


def test_a_phrase_of_the_built_in_ontology_states_one_relation_between_two_types() -> None:
    builtin = load_ontology(None)
    stated: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    types = [found.name for found in builtin.classes if found.name not in ("Agent", "Creation")]
    for relation in builtin.relations:
        for phrase, left, right in product(relation.phrases, types, types):
            if builtin.allows(relation, left, right):
                stated[phrase, left, right].add(relation.name)
    assert {key: names for key, names in stated.items() if len(names) > 1} == {}


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not here")
@pytest.mark.parametrize("name", ["1_movie", "2_music", "5_military"])
def test_published_ontologies_are_read(name: str) -> None:
    turtle = (SHARED / f"{name}.ttl").read_text(encoding="utf-8")
    found = load_ontology(turtle)
    assert len(found.classes) == turtle.count("a owl:Class")
    assert len(found.relations) == turtle.count("a owl:ObjectProperty")
    assert all(name == name.strip() for name in (*(c.name for c in found.classes), *(r.name for r in found.relations)))
