"""Parts of the two photographs that scikit-learn brings along: a set for restoration that needs no download."""

from pathlib import Path

from pipeline.decode.image import encode_png


def draw_parts(folder: Path, numbers: range, size_px: int) -> None:
    """Write part i as `<i>.png`, size_px x size_px, for each i in `numbers`: of both photographs in turn."""
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    folder.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        photograph = photographs[i % len(photographs)]
        row, column = divmod(i // len(photographs), photograph.shape[1] // size_px)
        top, left = row * size_px, column * size_px
        part = photograph[top : top + size_px, left : left + size_px]
        (folder / f"{i:04d}.png").write_bytes(encode_png(part))
