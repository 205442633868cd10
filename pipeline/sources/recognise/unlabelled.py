"""Pictures, and nothing that says what they show."""

from pipeline.sources.images import SPLIT
from pipeline.sources.listing import NEEDED, SPLIT_OF
from pipeline.sources.recognise.tree import Guess, Tree, is_split

NOTE = (
    "nothing says what these pictures show, so the recipe is for restoration: it learns to double their size. For "
    "classes, sort them into a folder a class or write a table; docs/sources.md has the formats of masks and boxes"
)


def recognise(tree: Tree) -> Guess | None:
    """Take pictures that no other source has taken: for a task that needs no labels."""
    if not tree.images:
        return None
    tops = {name.partition("/")[0] if "/" in name else "" for name in tree.images}
    splits = {SPLIT_OF[top.lower()] for top in tops if is_split(top)}
    has_splits = all(map(is_split, tops)) and (splits >= set(NEEDED) or splits == {"train", "test"})
    words = "pictures without labels" + (f", in {', '.join(f'{top}/' for top in sorted(tops))}" if has_splits else "")
    path = tree.path("") + (f"/{SPLIT}" if has_splits else "")
    return Guess("restoration", {"kind": "images", "path": path}, words, (NOTE,))
