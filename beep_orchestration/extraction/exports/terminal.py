"""A graph as a report for a person at a terminal."""

from collections import defaultdict
from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING

from beep_orchestration.counts import counted
from beep_orchestration.extraction.exports.characters import require_text_of, visible
from beep_orchestration.extraction.model import Entity, Graph, Relation, Span
from beep_orchestration.extraction.names import read_before
from beep_orchestration.extraction.prose import as_read

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_NAMES_PER_TYPE = 8
_RELATIONS = 20
_SENTENCE = 220
_PLAIN_WIDTH = 100
_DATE = "Date"


def to_terminal(graph: Graph, text: str) -> "RenderableType":
    """What rich prints: the types with their most mentioned entities, and the surest relations with their sentences.

    Control characters and rich's own markup in names are shown, not obeyed.

    Raises:
        InvalidInputError: `text` is not the text that the graph was extracted from.
    """
    require_text_of(graph, text)
    from rich.console import Group  # noqa: PLC0415 - only people at a terminal need it
    from rich.text import Text  # noqa: PLC0415

    stats = graph.stats
    heading = Text(_line(graph.title or graph.document_id), style="bold")
    counts = Text(
        f"{counted(stats.entities, 'entity', 'entities')}, {counted(stats.relations, 'relation')}, "
        f"{counted(stats.mentions, 'mention')} in {counted(stats.characters, 'character')}",
        style="dim",
    )
    return Group(heading, counts, *_origin(graph), Text(), _entities(graph), Text(), *_relations(graph, text))


def _origin(graph: Graph) -> "Iterator[Text]":
    """Who found it, and who looked at it."""
    from rich.text import Text  # noqa: PLC0415

    extractors = ", ".join(dict.fromkeys(_line(source.extractor) for source in graph.provenance.sources))
    if extractors:
        yield Text(f"found by {extractors}", style="dim")
    people = ", ".join(dict.fromkeys(_line(review.by) for review in graph.provenance.reviews))
    if people:
        yield Text(f"reviewed by {people}: {counted(len(graph.provenance.reviews), 'decision')}", style="dim")


def to_text(graph: Graph, text: str) -> str:
    """The same report as plain text, 100 columns wide.

    Raises:
        InvalidInputError: `text` is not the text that the graph was extracted from.
    """
    from rich.console import Console  # noqa: PLC0415

    target = StringIO()
    console = Console(file=target, width=_PLAIN_WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(to_terminal(graph, text))
    return "".join(f"{line.rstrip()}\n" for line in target.getvalue().splitlines())


def _entities(graph: Graph) -> "Table":
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("Type", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Count", justify="right")
    table.add_column("Most mentioned")
    for type_name, entities in _by_type(graph):
        table.add_row(Text(_line(type_name), style="cyan"), f"{len(entities):,}", Text(_most_mentioned(entities)))
    return table


def _by_type(graph: Graph) -> list[tuple[str, list[Entity]]]:
    """Types with most entities first, in each the most mentioned first."""
    groups: dict[str, list[Entity]] = defaultdict(list)
    for entity in sorted(graph.entities, key=lambda entity: (-len(entity.mentions), entity.name)):
        groups[entity.type].append(entity)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))


def _most_mentioned(entities: list[Entity]) -> str:
    names = ", ".join(_line(entity.name) for entity in entities[:_NAMES_PER_TYPE])
    more = len(entities) - _NAMES_PER_TYPE
    return f"{names} and {more:,} more" if more > 0 else names


def _relations(graph: Graph, text: str) -> "list[RenderableType]":
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    entities = {entity.id: entity for entity in graph.entities}
    surest = sorted(graph.relations, key=lambda relation: -relation.confidence)[:_RELATIONS]
    lines: list[RenderableType] = []
    for evidence, relations in _by_sentence(surest):
        lines.extend(_fact(relation, entities) for relation in relations)
        lines.extend(Padding(Text(f"“{_sentence(text, span)}”", style="dim italic"), (0, 0, 0, 4)) for span in evidence)
    if len(graph.relations) > len(surest):
        lines.append(Text(f"and {len(graph.relations) - len(surest):,} more relations", style="dim"))
    return lines


def _by_sentence(relations: list[Relation]) -> Iterator[tuple[tuple[Span, ...], list[Relation]]]:
    """The relations that one sentence states together, in the order of the first of them."""
    groups: dict[tuple[Span, ...], list[Relation]] = defaultdict(list)
    for relation in relations:
        groups[relation.evidence[:1]].append(relation)
    yield from groups.items()


def _fact(relation: Relation, entities: dict[str, Entity]) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    target = entities[relation.object]
    is_date = target.type == _DATE
    predicate = read_before(relation.predicate, target.name) if is_date else relation.predicate
    return Text.assemble(
        (_line(entities[relation.subject].name), "bold"),
        (f" —{_line(predicate)}→ ", "green"),
        (_line(target.name), "bold"),
        (f"  {relation.confidence:.2f}", "dim"),
    )


def _sentence(text: str, span: Span) -> str:
    sentence = _line(as_read(text[span.start : span.end]))
    if len(sentence) <= _SENTENCE:
        return sentence
    last_blank = sentence.rfind(" ", _SENTENCE // 2, _SENTENCE - 1)
    return f"{sentence[:last_blank]} …" if last_blank > 0 else f"{sentence[: _SENTENCE - 1]}…"


def _line(text: str) -> str:
    return " ".join(visible(text).split())
