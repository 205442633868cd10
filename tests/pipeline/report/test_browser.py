"""The page's own script in a real browser, where the machine has one: pictures are filtered, tables sort."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.report.page import page_of
from tests.pipeline.report.test_page import evaluated
from tests.pipeline.tasks.test_tasks import CASES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ASK = """<script>
const cards = () => [...document.querySelectorAll("#shown .card")].filter((card) => !card.hidden);
const all = cards().length;
const cell = document.querySelector(".confusion td[tabindex]");
cell.click();
const fits = ({ dataset }) => dataset.true === cell.dataset.true && dataset.said === cell.dataset.said;
const alike = cards().every(fits);
const head = document.querySelector("#classes th:nth-child(2)");
const column = () => [...document.querySelectorAll("#classes tbody td:nth-child(2)")].map((one) => one.textContent);
head.click();
const down = column().join();
head.click();
const chosen = `all ${all} chosen ${cards().length} of ${cell.textContent} alike ${alike}`;
document.title = `${chosen} down ${down} up ${column()}`;
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_pictures_are_filtered_and_tables_sort(tmp_path: Path) -> None:
    page = page_of([evaluated(CASES["classification"], tmp_path / "out")]).replace("</body>", ASK)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command = [str(CHROMIUM), *options, (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r"<title>all (\d+) chosen (\d+) of (\d+) alike (\w+) down ([\d,]+) up ([\d,]+)<", done.stdout)
    assert found, done.stderr
    whole, chosen, counted = map(int, found.group(1, 2, 3))
    assert 0 < chosen == counted < whole
    assert found[4] == "true"
    assert found[5].split(",") == sorted(found[5].split(","), reverse=True)
    assert found[6].split(",") == sorted(found[6].split(","))
