"""The screen of `poolscope top`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.widgets import DataTable, Input, Static

from poolscope.look.client import Watch
from poolscope.look.merge import Together, together
from poolscope.reports.printable import printable
from poolscope.top.lanes import LEGEND, Lanes
from poolscope.top.rows import COLUMNS, FIRST_ORDER, Name, Shown, Sites, heading, rows

COLUMNS_NEEDED: Final = 60
LINES_NEEDED: Final = 15
READ_EVERY: Final = 0.2
"""Seconds between two looks at the sockets; a process sends a frame a second at most."""
TITLES: Final[dict[Name, str]] = {
    "requests": "WHO WAITS FOR A CONNECTION, WHO HOLDS ONE",
    "origins": "SERVERS",
    "routes": "ROUTES",
    "findings": "FINDINGS, THE NEWEST FIRST",
}
KEYS: Final = "q quit  tab next table  s sort  / filter  r routes  space pause"


def too_small(columns: int, lines: int) -> str | None:
    """The message for a terminal that is too small; None if it fits."""
    if columns >= COLUMNS_NEEDED and lines >= LINES_NEEDED:
        return None
    needed = f"{COLUMNS_NEEDED} columns and {LINES_NEEDED} lines"
    return f"top needs {needed}, and this terminal has {columns} and {lines}: enlarge it, or use --json"


class Top(App[None]):
    """Tables of what happens now; `Watch` brings the looks."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    .line { height: 1; }
    #heading { height: auto; max-height: 2; text-style: bold; }
    #detail { height: 2; }
    .line, .title { text-wrap: nowrap; text-overflow: ellipsis; }
    #heading, #detail { text-wrap: wrap; }
    .title { height: 1; color: $text-muted; }
    DataTable { height: 1fr; min-height: 2; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    #requests { height: 2fr; }
    #lanes { height: 1fr; min-height: 1; scrollbar-size-vertical: 1; }
    #routes, #routes-title { display: none; }
    #wanted { height: 1; border: none; padding: 0; display: none; }
    #small { display: none; }
    Screen.small > * { display: none; }
    Screen.small > #small { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "quit", priority=False),
        Binding("s", "sort", "sort"),
        Binding("r", "routes", "routes"),
        Binding("slash", "filter", "filter"),
        Binding("space", "pause", "pause", priority=False),
        Binding("escape", "clear_filter", "no filter"),
    ]

    def __init__(self, watch: Watch, each_time: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._watch = watch
        self._each_time = each_time
        """Called with each look at the sockets."""
        self._lanes = Lanes()
        self._shown: Together | None = None
        self._seen = 0
        self._orders = dict(FIRST_ORDER)
        self._rows: dict[str, list[Shown]] = {}
        self._paused = False
        self._news = ""
        self.wanted = ""
        self._events: asyncio.AbstractEventLoop | None = None
        self._left = False

    def compose(self) -> ComposeResult:
        """Heading, tables, lanes, and two lines at the bottom."""
        yield Static("", id="small", markup=False)
        yield Static("", id="heading", classes="line", markup=False)
        for name, title in TITLES.items():
            yield Static(title, classes="title", id=f"{name}-title", markup=False)
            yield DataTable[Text](id=name, cursor_type="row", zebra_stripes=False)
        yield Static(f"CONNECTIONS  {LEGEND}", classes="title", markup=False)
        with VerticalScroll(id="lanes", can_focus=True):
            yield Static("", id="drawn", markup=False)
        yield Input(id="wanted", placeholder="show only what contains …")
        yield Static("", id="detail", classes="line", markup=False)
        yield Static(KEYS, id="keys", classes="line", markup=False)

    def on_mount(self) -> None:
        """Read from now on."""
        self._events = asyncio.get_running_loop()
        if self._left:
            self.exit()
        self.query_one("#requests", DataTable).focus()
        self.set_interval(READ_EVERY, self._read)
        self._read()

    def leave(self) -> None:
        """Leave the screen, from a signal handler."""
        self._left = True
        if self._events is not None and not self._events.is_closed():
            self._events.call_soon_threadsafe(self.exit)

    def on_resize(self, event: Resize) -> None:
        """Redraw for the new width, or say that there is too little room."""
        message = too_small(event.size.width, event.size.height)
        self.screen.set_class(message is not None, "small")
        self.query_one("#small", Static).update(message or "")
        self._draw()

    def _read(self) -> None:
        if self._each_time is not None:
            self._each_time()
        for note in self._watch.read():
            self._news = f"{note}. " + ("Nothing is left to look at." if self._watch.over else "")
            self._draw_keys()
        looks = self._watch.looks()
        if self._watch.fresh == self._seen or not looks:
            return
        self._seen = self._watch.fresh
        shown = together(looks)
        self._lanes.add(shown)
        if not self._paused:
            self._shown = shown
            self._draw()

    def _draw(self) -> None:
        shown = self._shown
        if shown is None:
            return
        self.query_one("#heading", Static).update(heading(shown))
        sites = Sites(shown, max(self.size.width // 3, 20))
        for name in TITLES:
            self._draw_table(name, rows(name, shown, sites, self._orders[name], self.wanted))
        lanes = self._lanes.drawn(self.size.width - 1, self.wanted)
        self.query_one("#drawn", Static).update("\n".join(lanes))
        self._draw_keys()

    def _draw_table(self, name: Name, shown: list[Shown]) -> None:
        table = self.query_one(f"#{name}", DataTable)
        self._rows[name] = shown
        at, top = table.cursor_row, table.scroll_y
        table.clear(columns=True)
        for number, column in enumerate(COLUMNS[name]):
            sorted_by = "↓" if number == self._orders[name] else ""
            table.add_column(Text(column.title + sorted_by, justify="right" if column.right else "left"))
        for row in shown:
            cells = zip(row.cells, COLUMNS[name], strict=True)
            table.add_row(
                *(Text(cell, justify="right" if column.right else "left") for cell, column in cells)
            )
        table.move_cursor(row=at)
        table.scroll_to(y=top, animate=False)
        self._draw_detail()

    def on_data_table_row_highlighted(self, _: DataTable.RowHighlighted) -> None:
        """Describe the row under the cursor."""
        self._draw_detail()

    def on_descendant_focus(self) -> None:
        """Another table has the focus: describe its row."""
        self._draw_detail()

    def _draw_detail(self) -> None:
        table = self.focused
        detail = ""
        if isinstance(table, DataTable) and table.id in self._rows:
            shown = self._rows[table.id]
            detail = shown[table.cursor_row].detail if table.cursor_row < len(shown) else ""
        self.query_one("#detail", Static).update(detail)

    def _draw_keys(self) -> None:
        words = [
            "PAUSED" if self._paused else "",
            f"only '{self.wanted}'" if self.wanted else "",
            printable(self._news) or KEYS,
        ]
        self.query_one("#keys", Static).update("  ".join(word for word in words if word))

    def action_sort(self) -> None:
        """Sort the table that has the focus by its next column."""
        table = self.focused
        for name in TITLES:
            if table is not None and table.id == name:
                self._orders[name] = (self._orders[name] + 1) % len(COLUMNS[name])
        self._draw()

    def action_routes(self) -> None:
        """Show the routes instead of the servers, or the servers again."""
        for name in ("origins", "routes"):
            for part in (f"#{name}", f"#{name}-title"):
                shown = self.query_one(part)
                shown.display = not shown.display
        self._draw()

    def action_pause(self) -> None:
        """Pause, or go on."""
        self._paused = not self._paused
        self._news = ""
        if not self._paused and (looks := self._watch.looks()):
            self._shown = together(looks)
        self._draw()
        self._draw_keys()

    def action_filter(self) -> None:
        """Ask for a word to filter by."""
        wanted = self.query_one("#wanted", Input)
        wanted.display = True
        wanted.focus()

    def action_clear_filter(self) -> None:
        """Show everything again."""
        self.query_one("#wanted", Input).value = ""
        self._leave_filter("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show only what contains the word."""
        self._leave_filter(event.value.strip())

    def _leave_filter(self, wanted: str) -> None:
        self.wanted = wanted
        self.query_one("#wanted", Input).display = False
        self.query_one("#requests", DataTable).focus()
        self._draw()
        self._draw_keys()
