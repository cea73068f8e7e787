"""Draw asciicasts as SVG, animated or as a still picture of the last screen; `make recording` runs it.

The colors follow the reader's light or dark color scheme. A picture needs no script and no font of its own.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pyte

HERE = Path(__file__).parent
# Pixels; a letter of the fonts below is 0.6 times as wide as high.
SIZE, WIDTH, LINE, MARGIN = 14, 8.43, 19, 16
# Seconds between two frames, and how long the last one stays.
FRAME, LAST = 0.12, 4.0
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
# Names of colors of pyte, with their values on light and on dark.
COLORS = {
    "default": ("#1f2328", "#e6edf3"),
    "black": ("#1f2328", "#484f58"),
    "red": ("#b3161b", "#ff7b72"),
    "green": ("#116329", "#3fb950"),
    "brown": ("#7d4e00", "#d29922"),
    "blue": ("#0550ae", "#79c0ff"),
    "magenta": ("#8250df", "#d2a8ff"),
    "cyan": ("#1b7c83", "#39c5cf"),
    "white": ("#57606a", "#b1bac4"),
    "brightblack": ("#6e7781", "#8b949e"),
}
PAGE = ("#ffffff", "#0d1117")
LIGHT, DARK = 0, 1


@dataclass(frozen=True)
class Frame:
    """A screen: its rows as SVG text, and the second at which it appears."""

    at: float
    rows: tuple[str, ...]


def frames(cast: str) -> tuple[list[Frame], int, int]:
    """Return the screens of an asciicast in version 2, and its columns and rows."""
    header, *events = map(json.loads, cast.splitlines())
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    found: list[Frame] = [Frame(0.0, rows(screen))]
    last = 0.0
    for number, (at, _, text) in enumerate(events):
        stream.feed(text)
        following = events[number + 1][0] if number + 1 < len(events) else at + FRAME
        # Output with short pauses is one frame.
        if following - last >= FRAME or number + 1 == len(events):
            shown = rows(screen)
            if shown != found[-1].rows:
                found.append(Frame(at, shown))
            last = at
    found.append(Frame(events[-1][0] + LAST, found[-1].rows))
    return found, header["width"], header["height"]


def rows(screen: pyte.Screen) -> tuple[str, ...]:
    """Return each row of a screen as SVG text; empty for an empty one."""
    return tuple(row(screen.buffer[number], screen.columns) for number in range(screen.lines))


def row(cells: dict[int, pyte.screens.Char], columns: int) -> str:
    """Return a row as text spans, one for each style."""
    spans: list[tuple[int, str, str]] = []
    for column in range(columns):
        attributes = _attributes(cells[column])
        if spans and spans[-1][1] == attributes:
            begin, _, text = spans.pop()
            spans.append((begin, attributes, text + cells[column].data))
        else:
            spans.append((column, attributes, cells[column].data))
    parts = []
    for begin, attributes, text in spans:
        if shown := text.strip():
            # An exact position, since the letters of another font are narrower or wider.
            at = begin + len(text) - len(text.lstrip())
            place = f'x="{at * WIDTH:.1f}" textLength="{len(shown) * WIDTH:.1f}"'
            parts.append(f"<tspan {place}{attributes}>{escape(shown)}</tspan>")
    return "".join(parts)


def _attributes(cell: pyte.screens.Char) -> str:
    """Return the color and the weight of a letter as attributes of SVG. A color of the 256 is its value as six digits."""
    bold = ["b"] if cell.bold else []
    if cell.fg in COLORS:
        names = [*([f"c-{cell.fg}"] if cell.fg != "default" else []), *bold]
        return f' class="{" ".join(names)}"' if names else ""
    # A style wins over the style sheet.
    return (' class="b"' if bold else "") + f' style="fill:#{cell.fg}"'


def style(scheme: int | None) -> str:
    """Return the style sheet: for the reader's color scheme, or for one of them."""

    def colors(number: int) -> str:
        named = "".join(f".c-{name}{{fill:{values[number]}}}" for name, values in COLORS.items())
        return f"text{{fill:{COLORS['default'][number]}}}.page{{fill:{PAGE[number]}}}{named}"

    common = (
        f"text{{font:{SIZE}px {FONT};white-space:pre}}.b{{font-weight:bold}}.page{{stroke:#8b949e;stroke-opacity:.4}}"
    )
    if scheme is not None:
        return common + colors(scheme)
    return f"{common}{colors(LIGHT)}@media (prefers-color-scheme:dark){{{colors(DARK)}}}"


def picture(cast: str, *, title: str = "", animated: bool = True, scheme: int | None = None) -> str:
    """Return an asciicast as SVG. Rows that several frames share are stored once.

    With reduced motion, the last frame is shown.
    """
    shown, columns, height = frames(cast)
    if not animated:
        shown = [Frame(0.0, shown[-1].rows), Frame(1.0, shown[-1].rows)]
    duration = shown[-1].at or 1.0
    wide, high = columns * WIDTH + 2 * MARGIN, height * LINE + 2 * MARGIN
    ids: dict[str, str] = {}
    for frame in shown:
        for each in frame.rows:
            if each:
                ids.setdefault(each, f"r{len(ids)}")
    shared = "".join(f'<text id="{name}" xml:space="preserve">{text}</text>' for text, name in ids.items())
    drawn, steps = [], []
    for number, frame in enumerate(shown[:-1]):
        uses = "".join(
            f'<use href="#{ids[each]}" y="{SIZE + line * LINE}"/>' for line, each in enumerate(frame.rows) if each
        )
        drawn.append(f'<g transform="translate({number * wide:.1f},0)">{uses}</g>')
        steps.append(f"{100 * frame.at / duration:.3f}%{{transform:translateX({-number * wide:.1f}px)}}")
    last = f"transform:translateX({-(len(drawn) - 1) * wide:.1f}px)"
    motion = (
        f"@keyframes play{{{''.join(steps)}100%{{{last}}}}}.film{{animation:play {duration:.2f}s step-end infinite}}"
        f"@media (prefers-reduced-motion:reduce){{.film{{animation:none;{last}}}}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high}" width="{wide:.0f}" height="{high}" role="img">'
        f"<title>{escape(title)}</title><style>{style(scheme)}{motion if animated else ''}</style>"
        f'<rect class="page" x=".5" y=".5" width="{wide - 1:.0f}" height="{high - 1}" rx="8"/><defs>{shared}</defs>'
        f'<svg x="{MARGIN}" y="{MARGIN}" width="{columns * WIDTH:.0f}" height="{height * LINE}"><g class="film">{"".join(drawn)}</g></svg></svg>\n'
    )


def main() -> None:
    """Draw each asciicast of this folder, or of the given files, beside it."""
    for cast in map(Path, sys.argv[1:] or map(str, sorted(HERE.glob("*.cast")))):
        text = cast.read_text(encoding="utf-8")
        title = json.loads(text.partition("\n")[0]).get("title", "")
        cast.with_suffix(".svg").write_text(picture(text, title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
