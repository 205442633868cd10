"""The console of every verb."""

from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.base.visible import visible_lines


class Terminal(Console):
    """A console on which names from anywhere are text: they move no cursor, clear no screen and make no emoji."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return what rich makes of every string that is printed, or stands in a table."""
        return super().render_str(visible_lines(text), **options)
