"""The page of a comparison: in a real browser without a network, and with texts that would like to be HTML."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtester.engine.compare.comparing import compare
from backtester.engine.compare.page import write_page
from tests.support.market import flat
from tests.support.runs import run_on, scripted

B, EVIL = "BTCUSDT", "</script><script>document.title='taken'</script>-->"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Pages of two and of three runs, whose orders have tags that are HTML."""
    folder = tmp_path_factory.mktemp("pages")
    runs = []
    for number in range(3):
        script = {0: lambda s, n=number: [s.buy(B, n + 1, tag=EVIL)], 3: lambda s: s.close(B)}
        runs.append(run_on(folder / str(number), [*flat(100, 3), *flat(110, 6)], scripted(script)).path)
    found = {}
    for count in (2, 3):
        found[count] = folder / f"{count}.html"
        write_page(compare(runs[:count]), found[count])
    return found


def test_texts_of_a_user_are_never_html(pages: dict[int, Path]) -> None:
    text = pages[2].read_text(encoding="utf-8")
    assert EVIL not in text
    assert text.count("<script") == 2
    assert "http://" not in text.partition("<script>")[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    browsers = pytest.importorskip("tests.support.browser", reason="needs websockets: pip install websockets")
    program = browsers.found_browser()
    if program is None:
        pytest.skip("no chromium: apt-get install chromium, or BACKTESTER_CHROMIUM=/path/to/it")
    with browsers.Browser(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


def test_it_draws_the_curves_the_bridge_and_where_the_runs_part(browser: Any, pages: dict[int, Path]) -> None:
    for count, dark, phone in ((2, False, False), (2, True, True), (3, False, False)):
        browser.open(pages[count], dark=dark, phone=phone, width=390 if phone else 1280)
        assert browser.errors == []
        assert browser.run("document.title").startswith("Compared: ")
        drawn = """(() => {
          const canvas = document.querySelector('[data-chart="equity"] canvas');
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.reduce((n, value, i) => n + (i % 4 === 3 && value > 200), 0);
        })()"""
        assert browser.run(drawn) > 500
        said = browser.run("document.body.innerText")
        assert ("From A to B" in said) == (count == 2)
        assert (EVIL in said) == (count == 2), "the tag is shown as it is, where the runs part"
