"""The result table for the terminal: at most 100 columns wide, readable without colour."""

import itertools
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import IO, Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jam_jax.report.columns import COLUMNS, MISSING, Row, best, lookup, rows

_WIDTH = 100
_NAME = 18
_CELL = 6  # five characters ("100.0") and the place of the mark
_MIN_GAP = 1


def _plain(text: str) -> str:
    """ASCII for terminals and log files of any encoding."""
    return text.replace("→", "->").replace("²", "^2").replace(MISSING, "-")


def _blocks(width: int) -> list[list[list[int]]]:
    """Column indices by group, the groups packed into as few blocks as fit `width`."""
    groups = [list(members) for _, members in itertools.groupby(range(len(COLUMNS)), key=lambda i: COLUMNS[i].group)]
    blocks: list[list[list[int]]] = [[]]
    used = _NAME
    for group in groups:
        size = _MIN_GAP + _CELL * len(group)
        if blocks[-1] and used + size > width:
            blocks.append([])
            used = _NAME
        blocks[-1].append(group)
        used += size
    return blocks


def _block(groups: Sequence[Sequence[int]], table_rows: Sequence[Row], marked: Sequence[set[int]]) -> Group:
    table = Table(box=None, padding=0, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("", width=_NAME, no_wrap=True, overflow="ellipsis")
    heading = Text(" " * _NAME)
    for group in groups:
        heading.append(" " * _MIN_GAP + f"{_plain(COLUMNS[group[0]].group):>{_CELL * len(group) - 1}} ", style="bold")
        for place, index in enumerate(group):
            # the gap between groups belongs to the first column of each group
            width = _CELL + _MIN_GAP * (place == 0)
            table.add_column(COLUMNS[index].label + " ", width=width, justify="right", no_wrap=True)
    indices = [index for group in groups for index in group]
    for r, row in enumerate(table_rows):
        style = "bold cyan" if row.key == "jam" else "dim" if not row.contender else ""
        cells = [Text(_plain(row.name), style=style)]
        for index in indices:
            shown = _plain(COLUMNS[index].show(row.values[index]))
            if r in marked[index]:
                cells.append(Text(shown + "*", style="bold green"))
            else:
                cells.append(Text(shown + " ", style="" if row.contender else "dim"))
        table.add_row(*cells)
    return Group(heading, table)


def _note(results: Mapping[str, Any]) -> str:
    captions = lookup(results, ("test", "image_to_text", "gallery"))
    images = lookup(results, ("test", "text_to_image", "gallery"))
    sizes = f" (one of {captions:,.0f} captions; one of {images:,.0f} images)" if captions and images else ""
    if lookup(results, ("test", "sources")):
        sizes += ", each source of pictures on its own, the mean over sources"
    seed = f" Seed {results['seed']}." if results.get("seed") is not None else ""
    return (
        f"R@k and choice in percent on the test split{sizes}; rank: median rank of the right answer, lower is better; "
        f"choice is two-way. *: best of its column. Chance: exact expectation of a random ranking.{seed}"
    )


def build(results: Mapping[str, Any], width: int = _WIDTH) -> Group:
    """The table as a rich renderable; narrower terminals get the groups below one another."""
    table_rows = rows(results)
    marked = best(table_rows)
    parts: list[Any] = []
    for groups in _blocks(width):
        parts += [Text(""), _block(groups, table_rows, marked)]
    return Group(*parts, Padding(Text(_note(results), style="dim"), (1, 0, 0, 0)))


def show(results: Mapping[str, Any], file: IO[str] | None = None) -> None:
    """Print the table to `file` (default stdout): bold and colour on a terminal, plain text elsewhere."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.file.write(text(results))
        return
    # numbers must stay whole: on a terminal narrower than one group the lines wrap
    console.width = max(min(_WIDTH, console.width), _NAME + _MIN_GAP + 4 * _CELL)
    console.print(build(results, console.width))


def text(results: Mapping[str, Any], width: int = _WIDTH) -> str:
    """The table as plain text, for log files and tests."""
    console = Console(file=StringIO(), width=width, color_system=None, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(build(results, width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"
