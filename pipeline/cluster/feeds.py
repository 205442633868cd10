"""The feed that a recipe asks for, for a process that trains or evaluates."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial

from pipeline.feed.local import MakeFeed, local_feed
from pipeline.feed.processes import start_fork_server
from pipeline.recipe import Recipe


@contextmanager
def feeds(recipe: Recipe, say: Callable[[str], None], beside: int = 1) -> Iterator[MakeFeed]:
    """Yield what makes feeds, as the recipe's `feed` says; what it needs is started, and ended afterwards.

    say:    tells the user what is being waited for, and what there is no room for
    beside: processes on this node that have feeds
    """
    if recipe.feed.kind == "local":
        if recipe.feed.workers:
            start_fork_server()  # what it loads takes as long as making the model and the optimizer
        yield partial(local_feed, say=say)
        return
    from pipeline.cluster.remote_feed import Actors

    with closing(Actors(recipe.feed, say, beside)) as actors:
        yield actors.feed
