"""Which code made an artifact: a digest for each project file that a module imports, found without importing any.

Digests are of the syntax tree without docstrings, so comments and layout do not count. Imports are read from the
text, inside functions too (heavy ones live there), but not below `if TYPE_CHECKING:`, which never runs. What was found
in a file is kept by its content in the user's cache: to parse all files takes more than a second.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import groupby, islice
from pathlib import Path

from pipeline.store.cache import cache_root

PACKAGES = ("pipeline", "models", "augment")
ROOT = Path(__file__).resolve().parents[2]

# What runs a stage, but has no say in what the stage makes: every stage imports Context, and a change of the
# progress bars would otherwise be reported as changed code of all of them.
MACHINERY = frozenset(
    f"pipeline.{name}"
    for name in (
        *("graph", "store", "base.redact"),
        # What a recipe may say is not what a stage does with it; through it every stage would count models and augment.
        *("recipe", "recipe.load", "recipe.combos", "recipe.validate", "recipe.schema"),
    )
)

MOVED = {
    "pipeline.base.redact": "pipeline.redact",
    "pipeline.cluster.capacity": "pipeline.stages.room",
    "pipeline.cluster.checkpoint_note": "pipeline.stages.checkpoint_note",
    "pipeline.cluster.checkpoints": "pipeline.stages.checkpoints",
    "pipeline.cluster.feed_actor": "pipeline.stages.feed_actor",
    "pipeline.cluster.feeds": "pipeline.stages.feeds",
    "pipeline.cluster.fit": "pipeline.stages.fit",
    "pipeline.cluster.joining": "pipeline.joining",
    "pipeline.cluster.micro_batch": "pipeline.stages.micro_batch",
    "pipeline.cluster.notice": "pipeline.stages.notice",
    "pipeline.cluster.parallel": "pipeline.stages.parallel",
    "pipeline.cluster.remote_feed": "pipeline.stages.remote_feed",
    "pipeline.cluster.resources": "pipeline.stages.resources",
    "pipeline.cluster.shard_prefetch": "pipeline.stages.ahead",
    "pipeline.cluster.tracker": "pipeline.stages.tracker",
    "pipeline.cluster.tries": "pipeline.stages.tries",
    "pipeline.cluster.waiting": "pipeline.stages.waiting",
    "pipeline.cluster.whole_shards": "pipeline.stages.whole_shards",
    "pipeline.feed.bad_samples": "pipeline.feed.quarantine",
    "pipeline.feed.feed_worker": "pipeline.feed.worker",
    "pipeline.figures.figures": "pipeline.tracking.figures",
    "pipeline.figures.fonts": "pipeline.tracking.fonts",
    "pipeline.graph.plan": "pipeline.graph",
    "pipeline.shards.file_io": "pipeline.shards.files",
    "pipeline.shards.prefetch": "pipeline.shards.ahead",
    "pipeline.sources.class_folders": "pipeline.sources.folder",
    "pipeline.sources.path_or_url": "pipeline.sources.files",
    "pipeline.stages.adopted_index": "pipeline.shards.adopted",
    "pipeline.stages.json_lines": "pipeline.stages.rows",
    "pipeline.store.eviction": "pipeline.store.room",
    "pipeline.store.folder_store": "pipeline.store.folder",
    "pipeline.store.record": "pipeline.runs",
    "pipeline.tracking.mlflow_run": "pipeline.tracking.runs",
    "pipeline.training.first_batch": "pipeline.training.preview",
    "pipeline.training.model_folder": "pipeline.exported",
    "pipeline.training.teacher": "pipeline.teacher",
}
"""What modules that stages import were called once, by what they are called now: a move is no change of code."""
EMPTY = hashlib.sha256(b"pass").hexdigest()[:16]
"""Of a file without code, such as a package's `__init__` that is a docstring."""
KEPT = "code.json"
"""In the cache: sha256 of a file, its name and these rules -> its digest and what it imports."""
MOST_KEPT = 5000


def code_digests(module: str, root: Path = ROOT) -> dict[str, str]:
    """Map each path relative to `root` -> 16 hex digits, for `module` and all project modules
    that it imports, transitively.
    """
    digests: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or _is_machinery(name) or name.split(".")[0] not in PACKAGES:
            continue
        seen.add(name)
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # importing a module runs its packages' __init__ first
        path = _file(root, name)
        if path is not None:
            digest, imports = _read(path, name)
            digests[path.relative_to(root).as_posix()] = digest
            waiting.extend(imports)
    _kept().save()
    return dict(sorted(digests.items()))


def package_digest(place: Path) -> str:
    """16 hex digits over the code in all `*.py` of a package's folder, or in a module's file."""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    codes = [f"{path.relative_to(place).as_posix()} {_read(path, path.stem)[0]}\n" for path in files]
    return hashlib.sha256("".join(codes).encode()).hexdigest()[:16]


def _is_machinery(name: str) -> bool:
    return any(name == machinery or name.startswith(machinery + ".") for machinery in MACHINERY)


def changed_files(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return the files whose code differs, came or went, sorted.

    A file that moved since is called what it is called now.
    """
    moved = {_path(old): _path(new) for new, old in MOVED.items()}
    before = {moved.get(path, path): digest for path, digest in before.items()}
    return sorted(path for path in before.keys() | now.keys() if before.get(path, EMPTY) != now.get(path, EMPTY))


def _path(name: str) -> str:
    return name.replace(".", "/") + ".py"


def _file(root: Path, name: str) -> Path | None:
    base = root.joinpath(*name.split("."))
    for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None  # `from pipeline.store import Store` also asks for a module pipeline.store.Store


class _Kept:
    """What was found in files before, by any process."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, dict[str, tuple[str, list[str]]]()
        with suppress(OSError, ValueError, TypeError, LookupError, AttributeError):  # no file, or another content
            self.rows = {
                str(key): (str(row[0]), [str(name) for name in row[1]])
                for key, row in json.loads(path.read_bytes()).items()
            }
        self.known = len(self.rows)

    def save(self) -> None:
        """Write down what came to it, where that can be written."""
        if len(self.rows) > self.known:
            self.known = len(self.rows)
            rows = dict(islice(self.rows.items(), max(0, self.known - MOST_KEPT), None))
            new = self.path.with_name(f"{KEPT}.{os.getpid()}")
            with suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                new.write_text(json.dumps(rows))
                new.replace(self.path)


@cache
def _kept() -> _Kept:
    return _Kept(cache_root() / KEPT)


@cache
def _rules() -> bytes:
    return f"{sys.version_info[:2]} {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}".encode()


@cache
def _read(path: Path, name: str) -> tuple[str, list[str]]:
    """Return the digest of a module's file, and what it imports."""
    source, rows = path.read_bytes(), _kept().rows
    key = hashlib.sha256(b"\0".join((_rules(), name.encode(), path.name.encode(), source))).hexdigest()
    if key not in rows:
        rows[key] = _parsed(source, name if path.name == "__init__.py" else name.rpartition(".")[0])
    return rows[key]


def _parsed(source: bytes, package: str) -> tuple[str, list[str]]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # being edited; it can still be told apart
        return hashlib.sha256(source).hexdigest()[:16], []
    imports = list(_imports(tree, package))
    for node in ast.walk(tree):
        _drop_docstring(node)
    _name_as_before(tree)
    for node in ast.walk(tree):
        _sort_imports(node)
    # unparse and not dump: the dump of one and the same source differs between Python versions.
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16], imports


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                above = package.split(".")[: len(package.split(".")) - child.level + 1]
                base = ".".join([*above, base] if base else above)
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imports(other, package)
        else:
            yield from _imports(child, package)


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body[0] = ast.Pass()


def _name_as_before(tree: ast.AST) -> None:
    """Have what names a moved module name it as it was called: its importers are no changed code either."""
    called: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [alias for alias in node.names if f"{node.module}.{alias.name}" in MOVED]
            package = node.module
            for alias in modules:  # `from package import module`
                node.module, _, before = MOVED[f"{package}.{alias.name}"].rpartition(".")
                called[alias.name], alias.name = before, before
            if modules:
                node.names.sort(key=lambda alias: alias.name)
            else:
                node.module = MOVED.get(node.module, node.module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = called.get(node.id, node.id)


def _sort_imports(node: ast.AST) -> None:
    """Put neighbouring imports of the project in the order of their names: another name is sorted elsewhere."""
    for part in ("body", "orelse", "finalbody"):
        body = getattr(node, part, None)
        if isinstance(body, list):
            # sorted() keeps the order of equals, which all are that are no such imports.
            body[:] = [one for _, neighbours in groupby(body, _is_import) for one in sorted(neighbours, key=_module)]


def _is_import(node: ast.AST) -> bool:
    return bool(_module(node))


def _module(node: ast.AST) -> str:
    """Return what a `from ... import` of the project names, else "": all else keeps its order."""
    module = node.module if isinstance(node, ast.ImportFrom) else None
    return module if module and module.split(".")[0] in PACKAGES else ""
