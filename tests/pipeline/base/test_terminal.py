import io

from rich.markup import escape
from rich.table import Table

from pipeline.base.terminal import Terminal

NAME = "\x1b[2J[b]\u202e\udcff:cat:"
SHOWN = r"\x1b[2J[b]\u202e\udcff:cat:"


def test_names_are_text_wherever_they_are_printed() -> None:
    file = io.StringIO()
    terminal = Terminal(file=file, width=60)
    table = Table("name", box=None)
    table.add_row(escape(NAME))
    terminal.print(f"[bold]Error:[/] {escape(NAME)}\nMend it.")
    terminal.print(NAME, markup=False)
    terminal.print(table)
    assert [line.strip() for line in file.getvalue().splitlines()] == [
        f"Error: {SHOWN}", "Mend it.", SHOWN, "name", SHOWN,
    ]  # fmt: skip


def test_our_own_colours_are_colours() -> None:
    file = io.StringIO()
    Terminal(file=file, force_terminal=True, color_system="standard").print("[bold red]Error:[/] x")
    assert file.getvalue() == "\x1b[1;31mError:\x1b[0m x\n"
