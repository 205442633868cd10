"""The documentation as a site: every page is in it, no link leads nowhere, and no page asks a network."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs import build, recipes

ROOT = Path(__file__).parents[2]


class Links(HTMLParser):
    """Collects what a page links to, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src"):
                (self.links if tag == "a" else self.loaded).append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build.build(folder)
    return folder


def test_every_page_is_there_and_in_the_contents(site: Path) -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    listed = [place for _, places in build.sections() for _, place in places]
    assert set(listed) == pages - {build.CONTENTS} | {"CONTRIBUTING.md"}
    assert len(listed) == len(set(listed))
    assert all((site / build.html_of(name)).is_file() for name in (*pages, "README.md", "benchmarks/README.md"))


def test_no_link_leads_nowhere_and_nothing_is_fetched(site: Path) -> None:
    pages = {path: Links(path) for path in site.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path
        assert not [link for link in page.loaded if re.match(r"\w+:|//", link)], path
        for link in (*page.links, *page.loaded):
            place, _, anchor = link.partition("#")
            target = (path.parent / place).resolve() if place else path
            there = re.match(r"https?:|mailto:", link) or (
                target.is_file() and (not anchor or target not in pages or anchor in pages[target].ids)
            )
            if not there:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a](nowhere.md)", "dead link to nowhere.md"),
        ("[a](#nowhere)", "anchors that are not there: README.md: README"),
    ],
)
def test_a_dead_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("# Contents\n")
    (tmp_path / "docs" / "page.html").write_text("{{ body }}")
    (tmp_path / "README.md").write_text(f"# Mine\n\n{text}\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=said):
        build.build(tmp_path / "site")


def test_the_page_of_recipes_is_that_of_the_recipes() -> None:
    """`python -m docs.recipes > docs/recipes.md` makes it anew."""
    assert (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8") == recipes.page()


def test_what_a_recipe_reaches_is_found_in_its_first_lines() -> None:
    words = recipes.header(ROOT / "recipes" / "quickstart-images.yaml")
    assert recipes.result(words) == "top-1 >= 95 % (97.6 % measured)"
    assert "](../recipes/quickstart-images.yaml) | `resnet18` | top-1 >= 95 % (97.6 % measured) | under a minute |" in (
        recipes.page()
    )
