"""Videos that are shorter than a clip: it is made all the same, of frames that come several times."""

from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Files
from pipeline.recipe import Recipe
from pipeline.shards.dataset import open_dataset
from pipeline.shards.index import index_path, read_index


def short_warning(recipe: Recipe, folder: Files) -> str | None:
    """Return what to say when most training videos of a dataset folder have fewer frames than a clip spans.

    The first shard stands for all: samples lie in shards by chance. One that cannot be read is told of by what reads
    its samples.
    """
    if recipe.task.modality != "video":
        return None
    clip = recipe.clip
    is_dense = clip.sampling == "dense"
    span = (clip.frames - 1) * (clip.stride if is_dense else 1) + 1
    try:
        first = open_dataset(folder).split("train").shards[0]
        frames = read_index(folder.file(index_path(Path(first.name)).as_posix()), first.bytes).frames
    except ZoetropeError:
        return None
    short = int((frames < span).sum())
    if 2 * short <= len(frames):
        return None
    what = f"of {clip.frames} with a stride of {clip.stride} spans ({span}), so clips play them in a loop"
    if not is_dense:
        what = f"has ({clip.frames}), so frames come several times"
    keys = "clip.frames or clip.stride" if is_dense and clip.stride > 1 else "clip.frames"
    return f"clip.frames: {short} of {len(frames)} videos have fewer frames than a clip {what}; lower {keys}"
