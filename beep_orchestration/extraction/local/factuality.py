"""Whether a clause is stated as a fact: not denied, asked, planned, supposed, conditional or merely reported as false.

Follows the clause upwards: a complement ('denied that ...', 'planned to ...') stands or falls with what governs it; a
relative clause or apposition stands by itself. After the polarity and factuality rules of Saurí and Pustejovsky,
"FactBank" (2009), cut down to what decides whether to keep a triple: when in doubt it is not kept.
"""

from typing import TYPE_CHECKING

from beep_orchestration.extraction.local.word_lists import words

if TYPE_CHECKING:
    from spacy.tokens import Span, Token


_MODALS = frozenset(words("may might could should must can shall will ought would 'd 'll ca wo"))
_LATER = frozenset(words("later eventually subsequently soon ultimately afterwards"))
_NEGATIONS = frozenset(words("not n't never no neither nor hardly scarcely barely without nobody none nothing nowhere"))
_HEDGES = frozenset(
    words(
        "allegedly reportedly supposedly purportedly probably possibly perhaps maybe likely almost nearly"
        " formerly apparently presumably falsely wrongly incorrectly mistakenly unsuccessfully hypothetically"
        " potentially arguably instead"
    )
)
_NOT_FACTIVE = frozenset(
    words(
        "want plan intend hope try attempt fail refuse decline deny doubt threaten consider propose offer"
        " promise agree ask invite seem appear claim allege accuse believe think suppose suspect expect"
        " imagine suggest predict forecast wish dream pretend fear wonder demand urge recommend require"
        " dispute reject rumor rumour aim seek forbid prevent forget avoid delay persuade speculate guess"
        " assume estimate hypothesize fantasize contemplate discuss debate argue contend encourage schedule"
        " prepare need would-be false untrue unlikely possible impossible unclear uncertain doubtful wrong"
        " incorrect rumored rumoured likely able unable eager ready set willing reluctant supposed due free"
        " report claim rumor rumour allegation belief idea myth suggestion theory speculation notion"
        " possibility hope plan legend story attempt offer proposal failure refusal right opportunity chance"
        " desire intention bid ambition dream wish effort threat promise request permission need accusation"
        " misconception contract commission invitation"
    )
)
_CONDITIONALS = frozenset(words("if unless whether lest"))
_DENYING_PREPOSITIONS = frozenset(words("without instead rather against from"))
_COMPLEMENTS = frozenset(words("ccomp xcomp csubj csubjpass acl pcomp"))
_DOUBTFUL_ADJECTIVES = frozenset(
    words("alleged supposed purported would-be fictional self-proclaimed putative prospective false never")
)


def is_asserted(predicate: "Token") -> bool:
    """Whether the sentence states, in its own voice and as a fact, the clause that this verb or noun heads."""
    token = predicate
    while True:
        if not _states(token):
            return False
        if token.dep_ == "conj":
            token = _first_conjunct(token)
        if token.dep_ not in _COMPLEMENTS and not (token.dep_ == "relcl" and _mark(token)):
            return not _is_purpose_or_condition(token)
        if not _lets_complement_stand(token):
            return False
        token = token.head


def is_doubtful(noun: "Token") -> bool:
    """Whether the noun phrase takes back what it says: 'the alleged founder', 'no founder'."""
    return any(child.lower_ in _DOUBTFUL_ADJECTIVES or child.lower_ in ("no", "neither") for child in noun.children)


def is_question(sentence: "Span") -> bool:
    """Whether the sentence asks, and so states nothing."""
    return sentence.text.rstrip(" \"'”’)").endswith("?")


def _states(token: "Token") -> bool:
    return not any(_withdraws(child) for child in token.children) and not (
        token.dep_ == "conj" and _shares_auxiliaries(token) and not _states(token.head)
    )


def _withdraws(child: "Token") -> bool:
    word = child.lower_
    if child.dep_ == "neg" or word in _HEDGES or (word in _NEGATIONS and child.dep_ != "pobj"):
        return True
    if child.dep_ == "aux" and word in _MODALS:
        return not (word in ("would", "'d") and any(sister.lower_ in _LATER for sister in child.head.children))
    if child.dep_ in ("nsubj", "nsubjpass", "dobj", "attr"):
        return any(
            word.lower_ in ("no", "neither", "few") and word.dep_ in ("det", "preconj", "amod", "cc")
            for word in child.children
        )
    return child.dep_ == "advcl" and _mark(child) in _CONDITIONALS


def _shares_auxiliaries(conjunct: "Token") -> bool:
    """'may buy X and hire Y', 'did not found or buy': the second verb leans on the first one's auxiliaries."""
    own = any(child.dep_ in ("aux", "auxpass", "nsubj", "nsubjpass") for child in conjunct.children)
    return not own and conjunct.tag_ in ("VB", "VBN") and conjunct.tag_ == conjunct.head.tag_


def _first_conjunct(token: "Token") -> "Token":
    while token.dep_ == "conj":
        token = token.head
    return token


def _is_purpose_or_condition(clause: "Token") -> bool:
    """'used it to write', 'if it was bought'; but 'went on to write' has happened."""
    is_purpose = _is_infinitive(clause) and clause.head.lemma_ != "go"
    return clause.dep_ == "advcl" and (_mark(clause) in _CONDITIONALS or is_purpose)


def _lets_complement_stand(clause: "Token") -> bool:
    governor = clause.head
    if clause.dep_ == "acl":
        return clause.tag_ in ("VBN", "VBG") or _is_superlative(governor)
    if clause.dep_ == "pcomp":
        return governor.lower_ not in _DENYING_PREPOSITIONS and governor.head.lemma_.lower() not in _NOT_FACTIVE
    governing = [governor, *(child for child in governor.children if child.dep_ in ("acomp", "attr"))]
    return _mark(clause) not in _CONDITIONALS and not any(word.lemma_.lower() in _NOT_FACTIVE for word in governing)


def _is_superlative(noun: "Token") -> bool:
    """'the first woman to earn', 'the first to build'."""
    return noun.lower_ in ("first", "last", "only") or any(
        child.lower_ in ("first", "last", "only") for child in noun.children
    )


def _is_infinitive(verb: "Token") -> bool:
    return any(child.dep_ == "aux" and child.lower_ == "to" for child in verb.children)


def _mark(clause: "Token") -> str:
    return next((child.lower_ for child in clause.children if child.dep_ == "mark"), "")
