"""What a sentence says, as (subject, phrase, object) over its dependency tree, before anything is known of names.

Phrases are written as in `ontology`: a verb's base form, a passive's participle or a noun, with the preposition that
leads to the object: 'found', 'born in', 'founder of'. Dependency labels are those of ClearNLP, which spaCy's English
models use.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from beep_orchestration.extraction.local.factuality import is_doubtful
from beep_orchestration.extraction.local.word_lists import words

if TYPE_CHECKING:
    from spacy.tokens import Span, Token

_SUBJECTS = ("nsubj", "nsubjpass")
_HAVING = frozenset(words("receive earn hold get obtain complete take have win gain finish do pursue start begin"))
_LEADING = frozenset(words("lead direct oversee supervise begin start head manage complete continue finish announce"))
_MAKING = {
    "development": "develop",
    "design": "design",
    "construction": "build",
    "invention": "invent",
    "creation": "create",
}
_PASSED_THROUGH = frozenset(
    words(
        "staff faculty board team department school group rank part office laboratory branch division version"
        " design development construction building work programming implementation use founding copy number"
        " family first"
    )
)
_BESIDE_NAMES = ("in", "of", "at", "near")
_PARTICIPLES = {
    "wrote": "written", "began": "begun", "gave": "given", "took": "taken", "chose": "chosen", "drew": "drawn",
    "grew": "grown", "knew": "known", "showed": "shown", "spoke": "spoken", "broke": "broken", "overtook": "overtaken",
}  # fmt: skip


class Statement(NamedTuple):
    """`predicate` is the word that decides whether this is asserted; `strength` how well the grammar supports it."""

    subject: "Token"
    phrase: str
    object: "Token"
    predicate: "Token"
    strength: float = 1.0


def statements(sentence: "Span") -> "Iterator[Statement]":
    """Every statement of the sentence, in the order of its words; subject and object are the heads of their phrases."""
    for token in sentence:
        if token.pos_ in ("VERB", "AUX"):
            yield from _of_verb(token)
        elif token.pos_ in ("NOUN", "PROPN", "ADJ"):
            yield from _of_noun(token)


def _of_verb(verb: "Token") -> Iterator[Statement]:
    subject, passive = subject_of(verb)
    if subject is None:
        return
    if passive:
        yield from _of_passive(verb, subject)
    else:
        yield from _of_active(verb, subject)
    for noun in (found for found in _predicate_nouns(verb) if not is_doubtful(found)):
        for phrase, target, strength in _leading_from(noun):
            yield Statement(subject, phrase, target, verb, strength)


def _of_active(verb: "Token", subject: "Token") -> Iterator[Statement]:
    word = _with_particle(verb, verb.lemma_.lower())
    things = [child for child in verb.children if child.dep_ == "dobj"]
    for suffix, target, strength in _complements(verb):
        yield Statement(subject, word + suffix, target, verb, strength)
    for thing in things:
        yield from _had_or_led(verb, subject, thing)
    participle = _participle(verb)
    for receiver in (child for child in verb.children if child.dep_ == "dative" and child.pos_ != "ADP" and participle):
        yield from (Statement(receiver, participle, thing, verb) for thing in things)
    for thing in things if participle else ():
        for suffix, target, strength in _prepositions(verb):
            yield Statement(thing, _with_particle(verb, participle) + suffix, target, verb, strength * 0.95)


def _of_passive(verb: "Token", subject: "Token") -> Iterator[Statement]:
    participle = _with_particle(verb, verb.lower_)
    for suffix, target, strength in _complements(verb):
        yield Statement(subject, participle + suffix, target, verb, strength)
    for agent in _pobjs(child for child in verb.children if child.dep_ == "agent"):
        yield Statement(agent, _with_particle(verb, verb.lemma_.lower()), subject, verb)
        yield Statement(subject, f"{participle} by", agent, verb)


def _complements(verb: "Token") -> "Iterator[tuple[str, Token, float]]":
    for child in verb.children:
        if child.dep_ in ("dobj", "npadvmod", "dative") and child.pos_ != "ADP":
            yield "", child, 1.0
            if child.dep_ == "dobj":
                yield from _through(child)
        elif child.dep_ == "oprd" and child.pos_ == "PROPN":
            yield from _prepositions(child)  # 'was born Ada Byron in London'
    yield from _prepositions(verb)


def _prepositions(verb: "Token") -> "Iterator[tuple[str, Token, float]]":
    for child in verb.children:
        if child.dep_ in ("prep", "dative") and child.pos_ == "ADP" and child.lower_ != "as":
            for target in _pobjs([child]):
                yield f" {child.lower_}", target, 1.0
                if target.lemma_.lower() in _PASSED_THROUGH:
                    for inner in _pobjs(found for found in target.children if found.lower_ == "of"):
                        yield f" {child.lower_}", inner, 0.9
                yield from _nested_place(child, target)


def _nested_place(preposition: "Token", target: "Token") -> "Iterator[tuple[str, Token, float]]":
    """'born in London in 1815': the second preposition is often parsed as the first noun's."""
    for inner in target.children:
        if (
            inner.dep_ == "prep"
            and inner.lower_ in ("in", "on", "at")
            and preposition.lower_ in ("in", "at", "on", "by", "to")
        ):
            for found in _pobjs([inner]):
                yield f" {inner.lower_}", found, 0.85


def _through(noun: "Token") -> "Iterator[tuple[str, Token, float]]":
    """'studied mathematics at Cambridge', 'joined the staff of IBM', 'left IBM in 1968'."""
    for preposition in noun.children:
        if preposition.dep_ != "prep":
            continue
        for target in _pobjs([preposition]):
            if preposition.lower_ != "of":
                yield f" {preposition.lower_}", target, 0.9
            elif noun.lemma_.lower() in _PASSED_THROUGH:
                yield "", target, 0.9


def _had_or_led(verb: "Token", subject: "Token", thing: "Token") -> Iterator[Statement]:
    """'received a doctorate from Princeton' is 'doctorate from'; 'led the development of COBOL' is 'develop'."""
    if verb.lemma_.lower() in _HAVING:
        for phrase, target, strength in _leading_from(thing):
            yield Statement(subject, phrase, target, verb, strength)
        for suffix, target, strength in _prepositions(verb):
            yield Statement(subject, thing.lemma_.lower() + suffix, target, verb, strength)
    making = _MAKING.get(thing.lemma_.lower())
    if making and verb.lemma_.lower() in _LEADING:
        for target in _pobjs(child for child in thing.children if child.lower_ == "of"):
            yield Statement(subject, making, target, verb, 0.9)


def _of_noun(noun: "Token") -> Iterator[Statement]:
    for child in noun.children:
        if child.dep_ == "appos":
            yield from _apposition(noun, child)
        elif child.dep_ == "poss":
            yield from _possession(noun, child)
        elif child.dep_ in ("amod", "compound"):
            yield from _modified(noun, child)
        elif _is_beside(noun, child):
            for target in _pobjs([child]):
                yield Statement(noun, child.lower_, target, noun, 0.75)


def _is_beside(noun: "Token", child: "Token") -> bool:
    """'Bell Labs in New York'; but 'was born Ada Byron in London' is about the birth."""
    is_after_name = noun.pos_ == "PROPN" and noun.dep_ != "oprd" and child.i > noun.i
    return is_after_name and child.dep_ == "prep" and child.lower_ in _BESIDE_NAMES


def _possession(noun: "Token", owner: "Token") -> Iterator[Statement]:
    """'Turing's ACE', 'his paper "On Computable Numbers"'."""
    for owned in (noun, *(found for found in noun.children if found.dep_ == "appos")):
        yield Statement(owner, "'s", owned, owner, 0.75)


def _modified(noun: "Token", modifier: "Token") -> Iterator[Statement]:
    """'French inventor', 'Byron's daughter Ada', 'IBM engineer Gene Amdahl'."""
    for origin in (modifier, *modifier.children):
        if origin.dep_ in ("amod", "compound") and origin.pos_ in ("ADJ", "PROPN"):
            yield Statement(noun, "nationality", origin, noun)
    if noun.pos_ == "PROPN" and modifier.pos_ == "NOUN":
        for phrase, target, strength in (*_leading_from(modifier), *_possessors(noun, modifier)):
            yield Statement(noun, phrase, target, noun, strength)


def _apposition(noun: "Token", apposed: "Token") -> Iterator[Statement]:
    """'Watson, founder of IBM' and 'the founder of IBM, Watson'."""
    for described, role in ((noun, apposed), (apposed, noun)):
        if role.pos_ != "PROPN":
            for phrase, target, strength in _leading_from(role):
                yield Statement(described, phrase, target, role, strength)
            for child in role.children:
                if child.dep_ in ("amod", "compound") and child.pos_ in ("ADJ", "PROPN"):
                    yield Statement(described, "nationality", child, role)


def _possessors(noun: "Token", role: "Token") -> "Iterator[tuple[str, Token, float]]":
    """'Byron's daughter Ada': the possessor hangs on the name."""
    return ((f"{role.lemma_.lower()} of", child, 0.95) for child in noun.children if child.dep_ == "poss")


def _predicate_nouns(verb: "Token") -> "Iterator[Token]":
    """What the subject is said to be: 'was a founder', 'served as director', 'was elected president'."""
    for child in verb.children:
        if child.dep_ in ("attr", "oprd"):
            yield child
            yield from child.conjuncts
        elif child.dep_ == "prep" and child.lower_ == "as":
            for noun in _pobjs([child]):
                yield noun
                yield from noun.conjuncts


def _leading_from(noun: "Token") -> "Iterator[tuple[str, Token, float]]":
    """Where a noun's prepositions and possessives lead: 'founder of' X, X's 'founder', 'engineer at' X."""
    word = noun.lemma_.lower()
    for child in noun.children:
        if child.dep_ == "prep":
            for target in _pobjs([child]):
                yield f"{word} {child.lower_}", target, 1.0
                yield from ((f"{word} {inner.lower_}", found, 0.85) for inner, found in _inner_prepositions(target))
        elif child.dep_ == "poss":
            yield f"{word} of", child, 1.0
        elif child.dep_ in ("compound", "nmod") and child.pos_ == "PROPN":
            yield f"{word} at", child, 0.9


def _inner_prepositions(noun: "Token") -> "Iterator[tuple[Token, Token]]":
    """'professor of mathematics at Harvard'."""
    if noun.pos_ == "NOUN":
        for child in noun.children:
            if child.dep_ == "prep":
                for target in _pobjs([child]):
                    yield child, target


def subject_of(verb: "Token") -> "tuple[Token | None, bool]":
    """Who does, or (True) undergoes, what the verb says; sought in the governing clauses where it has no subject."""
    for child in verb.children:
        if child.dep_ in _SUBJECTS:
            return child, child.dep_ == "nsubjpass"
    undergone = verb.tag_ == "VBN" and not any(
        child.dep_ == "aux" and child.lemma_ == "have" for child in verb.children
    )
    if verb.dep_ == "conj" and verb.head.pos_ in ("VERB", "AUX"):
        subject, passive = subject_of(verb.head)
        return subject, undergone and (passive or any(child.dep_ == "auxpass" for child in verb.children))
    if verb.dep_ in ("acl", "relcl"):
        return verb.head, undergone
    if verb.dep_ in ("xcomp", "advcl") and verb.head.pos_ in ("VERB", "AUX"):
        return _controller(verb), undergone
    if verb.dep_ == "pcomp" and verb.head.head.pos_ in ("VERB", "AUX"):
        return subject_of(verb.head.head)[0], False
    return None, False


def _controller(verb: "Token") -> "Token | None":
    """'hired her to lead': her; 'went on to found': the one who went."""
    governor = verb.head
    things = [child for child in governor.children if child.dep_ == "dobj"]
    return things[0] if things and verb.dep_ == "xcomp" else subject_of(governor)[0]


def _pobjs(prepositions: "Iterable[Token]") -> "Iterator[Token]":
    return (child for preposition in prepositions for child in preposition.children if child.dep_ == "pobj")


def _with_particle(verb: "Token", word: str) -> str:
    particle = next((child.lower_ for child in verb.children if child.dep_ == "prt"), None)
    return f"{word} {particle}" if particle else word


def _participle(verb: "Token") -> str:
    """The past participle, where the form at hand tells; empty otherwise."""
    return _PARTICIPLES.get(verb.lower_, verb.lower_) if verb.tag_ in ("VBD", "VBN") else ""
