"""Mentions count by their span, entities by all their mentions."""

import pytest

from benchmarks.scores.data import NamedDocument, NamedEntity
from benchmarks.scores.names import score_names

ADA = NamedEntity("PER", frozenset({(0, 3), (10, 13)}))
LONDON = NamedEntity("LOC", frozenset({(20, 26)}))
GOLD = [NamedDocument("1", "", (ADA, LONDON)), NamedDocument("2", "", (LONDON,))]


def test_everything_found_is_everything() -> None:
    found = score_names(GOLD, [[ADA, LONDON], [LONDON]])
    assert found.typed_entities.f1 == found.typed_mentions.f1 == 1.0


def test_a_wrong_type_counts_in_the_typed_figures_only() -> None:
    found = score_names(GOLD, [[ADA, NamedEntity("ORG", LONDON.spans)], [LONDON]])
    assert found.mentions.f1 == found.entities.f1 == 1.0
    assert found.typed_mentions.precision == pytest.approx(3 / 4)
    assert found.typed_entities.recall == pytest.approx(2 / 3)


def test_an_entity_with_a_mention_too_few_is_wrong_though_its_mentions_are_right() -> None:
    found = score_names(GOLD, [[NamedEntity("PER", frozenset({(0, 3)})), LONDON], [LONDON]])
    assert found.mentions.precision == 1.0
    assert found.entities.precision == pytest.approx(2 / 3)


def test_the_same_place_in_two_documents_is_two_mentions() -> None:
    assert score_names(GOLD, [[ADA, LONDON], []]).mentions.recall == pytest.approx(3 / 4)
