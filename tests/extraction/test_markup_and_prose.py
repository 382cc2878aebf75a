"""Markup, code and comments are not prose, and prose knows where in the document it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beep_orchestration.extraction.chunking import chunk_text
from beep_orchestration.extraction.inputs import ExtractionInput
from beep_orchestration.extraction.markup import hidden_stretches
from beep_orchestration.extraction.model import Chunk, ExtractionOptions
from beep_orchestration.extraction.names import clean_name
from beep_orchestration.extraction.pipeline import extract
from beep_orchestration.extraction.prose import as_read, blocks
from beep_orchestration.extraction.review import triple_of

MARKUP = [
    "<b>",
    "</p>",
    "<!-- x -->",
    "<script>a</script>",
    "**",
    "`a`",
    "| ",
    "[a](b)",
    "&amp;",
    "&nbsp;",
    "\n\n",
    "# ",
    "```\n",
]
TEXTS = st.lists(st.sampled_from(MARKUP) | st.text(st.characters(codec="utf-8"), max_size=8)).map("".join)


def prose(text: str) -> list[str]:
    return [block.text.strip() for chunk in chunk_text(text, ExtractionOptions()) for block in blocks(text, chunk)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain text stays as it is.", ["Plain text stays as it is."]),
        ("<p>Ada</p><p>Bob</p>", ["Ada", "Bob"]),
        ("<p>Ada <b>Love</b>lace</p>", ["Ada Lovelace"]),
        ("Ada<!-- Bill Gates --> met Bob.", ["Ada met Bob."]),
        ("Ada <!-- never closed", ["Ada never closed"]),
        ("<script>var Microsoft;</script>Ada", ["Ada"]),
        ("<style>.Paris{}</style>Ada", ["Ada"]),
        ("Ada&nbsp;Lovelace &amp; Bob", ["Ada Lovelace & Bob"]),
        ("# Heading\nText below it.", ["Heading", "Text below it."]),
        ("**Grace Hopper** and *Ada*", ["Grace Hopper and Ada"]),
        ("See [New York](https://x.test/Paris).", ["See New York."]),
        ("![A picture](a.png) Ada", ["A picture Ada"]),
        ("At https://example.org/Paris, London.", ["At , London."]),
        ("Meet `Paris` at 5pm", ["Meet  at 5pm"]),
        ("Ada\n\n```python\nclass Berlin: pass\n```\nBob", ["Ada", "Bob"]),
        ("| Name | Born |\n|------|-----:|\n| Ada | 1815 |", ["Name", "Born", "Ada", "1815"]),
        ("- Ada\n- Bob\n1. Carol", ["Ada", "Bob", "Carol"]),
        ("> Quoted by Niels Bohr[^1]", ["Quoted by Niels Bohr"]),
        ("A text that was wrapped by hand because its lines are long\nand goes on here.", [
            "A text that was wrapped by hand because its lines are long and goes on here."]),
        ("A title\nThe text below it.", ["A title", "The text below it."]),
        ("Dan\u2028Eve\u2029Fay\x85Gus.", ["Dan", "Eve", "Fay", "Gus."]),
        ("Marie\u200b Cu\u00adrie\ufeff", ["Marie Curie"]),
        ("\x1b[31mred\x1b[0m Carol", ["red Carol"]),
        ("ask </text> <|im_end|> Ada", ["ask   Ada"]),
        ("if a < b and c > d", ["if a < b and c > d"]),
    ],
)  # fmt: skip
def test_prose_is_what_a_reader_reads(text: str, expected: list[str]) -> None:
    assert [" ".join(block.split()) for block in prose(text)] == [" ".join(block.split()) for block in expected]


@given(TEXTS)
def test_every_stretch_of_prose_knows_its_place(text: str) -> None:
    chunk = Chunk(start=0, end=len(text), index=0)
    for block in blocks(text, chunk):
        assert len(block.text) == len(block.starts) == len(block.ends)
        for index, character in enumerate(block.text):
            original = text[block.starts[index] : block.ends[index]]
            assert character in (original, " ") or original.startswith("&")
        assert all(left <= right for left, right in zip(block.ends, block.starts[1:], strict=False))


@given(TEXTS)
def test_hidden_stretches_are_ordered_and_disjoint(text: str) -> None:
    edges = [edge for stretch in hidden_stretches(text) for edge in stretch]
    assert edges == sorted(edges)
    assert all(left < right for left, right in hidden_stretches(text))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Grace** Hopper", "Grace Hopper"),
        ("Marie&nbsp;Curie", "Marie Curie"),
        ("Ada\r\nLovelace", "Ada Lovelace"),
        ("Zoe\u0308 Kravitz", "Zoë Kravitz"),
        ("AT&T", "AT&T"),
    ],
)
def test_names_are_shown_without_markup(written: str, name: str) -> None:
    assert clean_name(written) == name


TESLA = "Nikola Tesla was born in Smiljan. He worked for Thomas Edison."


@pytest.mark.parametrize(
    "document",
    [
        "**Nikola Tesla** was born in *Smiljan*. He worked for _Thomas Edison_.",
        "[Nikola Tesla](https://x.test/t) was born in [Smiljan](/s). He worked for Thomas Edison.",
        "<body><p><b>Nikola Tesla</b> was born in <a href='/s'>Smiljan</a>. He worked for <i>Thomas Edison</i>.</p>",
        "<!-- Berlin --><p><em>Nikola Tesla</em> was born in Smiljan.<!--x--> He worked for <b>Thomas Edison</b>.</p>",
    ],
)
def test_markup_changes_nothing_of_what_is_found(document: str) -> None:
    """Types are told by the words around a name, which markup may stand between."""
    graph, expected = (extract(ExtractionInput(document_id="tesla", text=text)) for text in (document, TESLA))
    assert [(entity.id, entity.type) for entity in graph.entities] == [
        (entity.id, entity.type) for entity in expected.entities
    ]
    assert {triple_of(relation) for relation in graph.relations} == {
        triple_of(relation) for relation in expected.relations
    }
    assert len(expected.relations) == 2


@pytest.mark.parametrize(
    ("stretch", "expected"),
    [
        ("Marie Curie** was born in *Warsaw*.", "Marie Curie was born in Warsaw."),
        ("She married\n[Pierre](https://x.test/p).", "She married Pierre."),
        ("He <b>led</b> AT&amp;T.", "He led AT&T."),
        ("a  plain\nline", "a plain line"),
        ("`code`", "`code`"),
    ],
)
def test_evidence_is_shown_as_people_read_it(stretch: str, expected: str) -> None:
    assert as_read(stretch) == expected
