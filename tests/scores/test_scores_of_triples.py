"""The figures follow Text2KGBench's convention; the micro figures do without its oracle."""

import pytest

from benchmarks.scores.triples import Triple, Vocabulary, relation_names, score_sentence, summed_up

VOCABULARY = Vocabulary(concepts=("film", "human"), relations=relation_names(["director", "cast member"]))
SENTENCE = "Alien is a film directed by Ridley Scott in 1979."
GOLD = (Triple("Alien", "director", "Ridley Scott"), Triple("Alien", "cast member", "Sigourney Weaver"))


def test_case_blanks_and_underscores_make_no_difference() -> None:
    found = score_sentence(SENTENCE, GOLD, [Triple("ALIEN", "director", "Ridley_Scott")], VOCABULARY)
    assert (found.precision, found.recall) == (1.0, 0.5)
    assert found.f1 == pytest.approx(2 / 3)


def test_answers_with_a_relation_that_gold_has_not_count_in_the_micro_figures_only() -> None:
    answer = [Triple("Alien", "director", "Ridley Scott"), Triple("Alien", "genre", "film")]
    found = score_sentence(SENTENCE, GOLD, answer, VOCABULARY)
    assert found.precision == 1.0
    assert found.conformance == 0.5
    assert summed_up([found]).micro_precision == 0.5


def test_a_sentence_without_gold_or_answer_scores_nothing() -> None:
    for gold, answer in ((GOLD, []), ((), [Triple("Alien", "director", "Ridley Scott")])):
        found = score_sentence(SENTENCE, gold, answer, VOCABULARY)
        assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)


def test_what_is_not_in_the_sentence_is_invented() -> None:
    answer = [Triple("Aliens", "director", "James Cameron"), Triple("Blade Runner", "director", "Ridley Scott")]
    found = score_sentence(SENTENCE, GOLD, answer, VOCABULARY)
    assert found.invented_subjects == 0.5  # 'Aliens' has the stem of 'Alien'
    assert found.invented_objects == 0.5


def test_a_year_written_as_its_first_day_is_not_invented() -> None:
    answer = [Triple("Alien", "director", "01 January 1979"), Triple("Alien", "director", "02 January 1979")]
    assert score_sentence(SENTENCE, GOLD, answer, VOCABULARY).invented_objects == 0.5


def test_means_are_over_sentences_and_micro_over_triples() -> None:
    right = score_sentence(SENTENCE, GOLD[:1], GOLD[:1], VOCABULARY)
    wrong = score_sentence(SENTENCE, GOLD[:1], [Triple("a", "director", "b"), Triple("c", "director", "d")], VOCABULARY)
    found = summed_up([right, wrong])
    assert found.precision == 0.5
    assert found.micro_precision == pytest.approx(1 / 3)
    assert found.micro_recall == 0.5
