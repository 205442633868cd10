"""Where artifacts live: a local or shared folder, or any URL that fsspec knows (s3://, gs://, abfs://, ...)."""

from pathlib import Path

from pipeline.store.artifact import Artifact, Parts, Store, StoreError, Work
from pipeline.store.folder_store import FULL, FolderStore

__all__ = ["FULL", "Artifact", "FolderStore", "Parts", "Store", "StoreError", "Work", "open_store"]


def open_store(url: str | Path) -> Store:
    """Open the store at a path or URL. Asks nothing of the place. Raises ZoetropeError for a URL that cannot be one."""
    text = str(url)
    for prefix in ("file://", "local://"):
        text = text.removeprefix(prefix)
    if "://" not in text:
        return FolderStore(Path(text).expanduser().absolute())
    from pipeline.store.remote import RemoteStore

    return RemoteStore(text)
