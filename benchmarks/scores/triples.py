"""Triples by Text2KGBench's convention, and micro without its oracle.

The convention is that of the benchmark's own `run_eval.py` (Mihindukulasooriya et al., "Text2KGBench", ISWC 2023):
answers whose relation is not among the sentence's gold relations do not count (an oracle), the others have to
match exactly but for case, blanks and underscores; a sentence without an answer scores 0; all figures are means over
sentences. An invented subject or object does not occur, stemmed, in the sentence or among the ontology's concepts.

The micro figures count every answer, over all sentences, as a reader of the graph does.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import NamedTuple

from nltk.stem import PorterStemmer
from nltk.tokenize import NLTKWordTokenizer


class Triple(NamedTuple):
    subject: str
    relation: str
    object: str


@dataclass(frozen=True)
class Vocabulary:
    """What an answer may be made of besides the sentence: the ontology's concepts and relations."""

    concepts: tuple[str, ...]
    relations: frozenset[str]


@dataclass(frozen=True)
class SentenceScore:
    precision: float
    recall: float
    f1: float
    conformance: float
    invented_subjects: float
    invented_objects: float
    right: int
    answered: int
    gold: int


@dataclass(frozen=True)
class TripleScores:
    """Means over sentences, then the micro figures; all between 0 and 1 but for the counts."""

    sentences: int
    answered: int
    precision: float
    recall: float
    f1: float
    conformance: float
    invented_subjects: float
    invented_objects: float
    micro_precision: float
    micro_recall: float
    micro_f1: float


def score_sentence(
    sentence: str, gold: Sequence[Triple], answer: Sequence[Triple], vocabulary: Vocabulary
) -> SentenceScore:
    expected = {_normal_triple(triple) for triple in gold}
    asked = relation_names(triple.relation for triple in gold)
    counted = {_normal_triple(triple) for triple in answer if _relation_name(triple.relation) in asked}
    everything = {_normal_triple(triple) for triple in answer}
    context = _stemmed(sentence + " ".join(vocabulary.concepts))
    precision, recall, f1 = _precision_recall_f1(len(expected & counted), len(counted), len(expected))
    return SentenceScore(
        precision,
        recall,
        f1,
        _share(_relation_name(triple.relation) in vocabulary.relations for triple in answer) if answer else 1.0,
        _share(_is_invented(triple.subject, context) for triple in answer),
        _share(_is_invented(triple.object, context) for triple in answer),
        len(expected & everything),
        len(everything),
        len(expected),
    )


def summed_up(scores: Sequence[SentenceScore]) -> TripleScores:
    micro = _precision_recall_f1(
        sum(score.right for score in scores),
        sum(score.answered for score in scores),
        sum(score.gold for score in scores),
    )
    return TripleScores(
        len(scores),
        sum(score.answered for score in scores),
        fmean(score.precision for score in scores),
        fmean(score.recall for score in scores),
        fmean(score.f1 for score in scores),
        fmean(score.conformance for score in scores),
        fmean(score.invented_subjects for score in scores),
        fmean(score.invented_objects for score in scores),
        *micro,
    )


def relation_names(labels: Iterable[str]) -> frozenset[str]:
    """Relation labels as they are compared."""
    return frozenset(map(_relation_name, labels))


def _relation_name(label: str) -> str:
    return label.replace(" ", "_").strip("_")


def _precision_recall_f1(right: int, answered: int, gold: int) -> tuple[float, float, float]:
    precision = right / answered if answered else 0.0
    recall = right / gold if gold and answered else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def _share(found: Iterable[bool]) -> float:
    values = list(found)
    return sum(values) / len(values) if values else 0.0


def _normal(text: str) -> str:
    return re.sub(r"[_\s]+", "", text).lower()


def _normal_triple(triple: Triple) -> str:
    return "".join(map(_normal, triple))


def _is_invented(name: str, context: str) -> bool:
    # The published data write a year as its first day, which the benchmark does not hold against an answer.
    return _stemmed(name).replace("01januari", "") not in context


def _stemmed(text: str) -> str:
    return _normal("".join(map(_stem, NLTKWordTokenizer().tokenize(text))))


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    stemmed: str = PorterStemmer().stem(word)
    return stemmed
