"""This documentation as a static site: `python -m docs.build [FOLDER]`, by default `site/`.

Its pages are README.md and all that is linked to from there, in the repository. They ask no network.
"""

import posixpath
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

ROOT = Path(__file__).parents[1]
START, CONTENTS = "README.md", "docs/README.md"
STYLE = HtmlFormatter(nowrap=True)


def build(out: Path) -> dict[str, set[str]]:
    """Write the site to a folder; each page that was written -> its anchors. SystemExit for links that lead nowhere."""
    template = Environment(loader=FileSystemLoader(ROOT / "docs"), autoescape=True).get_template("page.html")
    contents = sections()
    waiting, pages, wanted = [START], dict[str, set[str]](), list[tuple[str, str]]()
    while waiting:
        name = waiting.pop()
        if name in pages:
            continue
        if not (ROOT / name).is_file():
            raise SystemExit(f"dead link to {name} on {[page for page, link in wanted if link == name]}")
        target = out / html_of(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith(".md"):
            shutil.copyfile(ROOT / name, target)
            pages[name] = set()
            continue
        body, links, anchors = rendered(name)
        pages[name] = anchors
        wanted += [(name, link) for link in links]
        waiting += [link.partition("#")[0] for link in links]
        here = {"name": name, "contents": contents, "to": lambda link, name=name: relative(name, link)}
        title = next(line[2:] for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line[:2] == "# ")
        target.write_text(template.render(body=body, title=title, **here), encoding="utf-8")
    dead = [f"{page}: {link}" for page, link in wanted if "#" in link and not _there(link, pages)]
    if dead:
        raise SystemExit(f"anchors that are not there: {', '.join(dead)}")
    return pages


def _there(link: str, pages: dict[str, set[str]]) -> bool:
    name, _, anchor = link.partition("#")
    return not name.endswith(".md") or anchor in pages[name]


def rendered(name: str) -> tuple[str, list[str], set[str]]:
    """Return a page as HTML, the places in the repository that it links to (`docs/a.md#b`), and its own anchors."""
    markdown = MarkdownIt("commonmark", {"html": False, "highlight": _coloured}).enable("table")
    tokens = markdown.parse((ROOT / name).read_text(encoding="utf-8"))
    anchors, links = Counter[str](), list[str]()
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and after:
            slug = slug_of(after)
            token.attrs["id"] = f"{slug}-{anchors[slug]}" if anchors[slug] else slug
            anchors[slug] += 1
        for child in token.children or ():
            attribute = {"link_open": "href", "image": "src"}.get(child.type, "")
            link = str(child.attrs.get(attribute, ""))
            if attribute and not re.match(r"\w+:", link):
                links.append(_in_the_repository(name, link))
                child.attrs[attribute] = relative(name, links[-1])
    ids = {str(token.attrs["id"]) for token in tokens if token.type == "heading_open"}
    return markdown.renderer.render(tokens, markdown.options, {}), links, ids


def slug_of(heading: Token) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    text = "".join(child.content for child in heading.children or ())
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def sections() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the list of contents: headings, each with its pages, by title and place in the repository."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for line in (ROOT / CONTENTS).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            found.append((line[3:], []))
        elif item := re.match(r"\* \[(.+?)\]\((.+?)\)", line):
            found[-1][1].append((item[1], _in_the_repository(CONTENTS, item[2])))
    return found


def _in_the_repository(page: str, link: str) -> str:
    place, hash_, anchor = link.partition("#")
    return (posixpath.normpath(posixpath.join(posixpath.dirname(page), place)) if place else page) + hash_ + anchor


def relative(page: str, link: str) -> str:
    """Return how a page of the site links to a place in the repository."""
    place, hash_, anchor = link.partition("#")
    return posixpath.relpath(html_of(place), posixpath.dirname(html_of(page)) or ".") + hash_ + anchor


def html_of(name: str) -> str:
    """Return where a file of the repository is in the site."""
    folder, base = posixpath.split(name)
    page = "index.html" if base == "README.md" else base.removesuffix(".md") + ".html" * base.endswith(".md")
    return posixpath.join(folder, page)


def _coloured(code: str, language: str, _: Any) -> str:
    try:
        lexer = get_lexer_by_name((language.split() or ["text"])[0])
    except ClassNotFound:
        return ""
    return str(highlight(code, lexer, STYLE))


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    print(f"{len(build(out))} pages and files; open {out / 'index.html'}")
