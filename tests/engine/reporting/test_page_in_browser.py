"""report.html in a real browser without a network: it draws, sorts, filters, zooms, and complains of nothing."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtester.engine.prepare import prepare
from backtester.engine.reporting.writing import write_reports
from tests.scenarios.test_liquidation import buy
from tests.scenarios.test_liquidation import run as futures_run
from tests.support.big_runs import enlarged, year_of_minutes
from tests.support.dealing import EVIL, dealt
from tests.support.lakes import wandering
from tests.support.market import flat, write_candles
from tests.support.runs import Ran, config_of, run_on, run_prepared, scripted

browsers = pytest.importorskip("tests.support.browser", reason="needs websockets: pip install websockets")
Browser = browsers.Browser

DRAWN = """(name) => {
  const canvas = document.querySelector(`[data-chart="${name}"] canvas`);
  if (!canvas) return 0;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  let n = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] <= 200) continue;
    n++;
    seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  }
  return seen.size > 2 ? n : 0;
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    program = browsers.found_browser()
    if program is None:
        pytest.skip("no chromium: apt-get install chromium, or BACKTESTER_CHROMIUM=/path/to/it")
    with Browser(program, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def dealings(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    ran = dealt(tmp_path_factory.mktemp("dealings"), candles=900)
    write_reports(ran.path, plots=False)
    return ran


@pytest.fixture(scope="module")
def year(dealings: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of minutes with 5,000 trades."""
    folder = tmp_path_factory.mktemp("year")
    close = year_of_minutes(folder / "lake", 525_600)
    run = enlarged(dealings.path, folder / "run", folder / "lake", close, trades=5_000, equity=525_600)
    write_reports(run, plots=False)
    return run


def drawn(browser: Any, name: str) -> int:
    return int(browser.run(f"({DRAWN})('{name}')"))


def coloured(browser: Any, name: str, colour: str) -> int:
    """How many pixels of a chart have a colour of the theme."""
    return int(
        browser.run(f"""(() => {{
      const canvas = document.querySelector('[data-chart="{name}"] canvas');
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {{ willReadFrequently: true }});
      copy.drawImage(canvas, 0, 0);
      const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height);
      const wanted = parseInt(colour("{colour}").slice(1), 16);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) n += ((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]) === wanted;
      return n;
    }})()""")
    )


def cells(browser: Any, column: str) -> list[str]:
    return list(
        browser.run(f"""(() => {{
          const heads = [...document.querySelectorAll("table.trades th")];
          const at = heads.findIndex((th) => th.textContent.startsWith("{column}"));
          return [...document.querySelectorAll("table.trades tbody tr")].map((tr) => tr.children[at].textContent);
        }})()""")
    )


def click_head(browser: Any, column: str) -> None:
    heads = '[...document.querySelectorAll("table.trades th button")]'
    browser.run(f'{heads}.find((b) => b.textContent.startsWith("{column}")).click()')


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "").replace("−", "-")) for text in texts]


def text_of(browser: Any, selector: str) -> str:
    return str(browser.run(f"document.querySelector({selector!r}).innerText"))


def test_a_year_of_minutes_with_5000_trades_draws_zooms_sorts_and_filters(browser: Any, year: Path) -> None:
    assert (year / "report.html").stat().st_size < 8_000_000
    browser.open(year / "report.html")
    for name in ("equity", "drawdown", "exposure", "price", "returns", "r"):
        assert drawn(browser, name) > 500, name
    assert "525,600 candles of 1m" in text_of(browser, "#price")

    span = "charts.price.scales.x.max - charts.price.scales.x.min"
    whole = browser.run(span)
    assert whole >= 525_600 * 60
    browser.run("document.getElementById('price').scrollIntoView({behavior: 'instant'})")
    box = browser.run("(({x, y, width, height}) => ({x, y, width, height}))(charts.price.over.getBoundingClientRect())")
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    for _ in range(12):
        browser.mouse("mouseWheel", **middle, deltaX=0, deltaY=-400)
    browser.wait(f"{span} < {whole} / 100")
    assert "candles of" in text_of(browser, ".readout")
    assert drawn(browser, "price") > 500
    before = browser.run("charts.price.scales.x.min")
    browser.mouse("mousePressed", **middle, button="left", clickCount=1)
    browser.mouse("mouseMoved", x=middle["x"] + 200, y=middle["y"], button="left")
    browser.mouse("mouseReleased", x=middle["x"] + 200, y=middle["y"], button="left", clickCount=1)
    assert browser.run("charts.price.scales.x.min") < before

    click_head(browser, "Net profit")
    best = numbers(cells(browser, "Net profit"))
    assert best == sorted(best, reverse=True)
    click_head(browser, "Net profit")
    worst = numbers(cells(browser, "Net profit"))
    assert worst == sorted(worst)
    assert worst[0] < 0 < best[0]
    browser.run(
        "const search = document.querySelector('#trades input');"
        "search.value = 'target'; search.dispatchEvent(new Event('input'))"
    )
    assert len(cells(browser, "Left by")) == 25
    assert all("target" in pair for pair in zip(cells(browser, "Left by"), cells(browser, "Exit tag"), strict=True))

    entered = cells(browser, "Entry, UTC")[3]
    browser.run("document.querySelectorAll('table.trades tbody tr')[3].click()")
    shown = browser.run("[charts.price.scales.x.min, charts.price.scales.x.max]")
    at = browser.run(f"Date.parse('{entered.replace(' ', 'T')}:00Z') / 1000")
    assert shown[0] < at < shown[1]
    assert shown[1] - shown[0] < 2 * 86_400
    assert browser.run("document.querySelectorAll('#trades tr.chosen').length") == 1
    assert min(coloured(browser, "price", "blue"), coloured(browser, "price", "orange")) > 100  # candles, up and down
    assert coloured(browser, "price", "mark") > 500  # the trade's own time
    assert browser.errors == []


def test_packed_columns_are_read_in_the_browser_as_they_were_written(browser: Any, year: Path) -> None:
    browser.open(year / "report.html")
    table = "unpack(JSON.parse(document.getElementById('facts').textContent), 'trades')"
    found = browser.run(
        f"{table}.then((t) => [t.rows, t.entry_time[4999], t.net_pnl[4999], t.initial_stop, t.stop[4999]])"
    )
    import pyarrow.parquet as pq

    last = pq.read_table(year / "trades.parquet").slice(4_999).to_pylist()[0]
    assert found[0] == 5_000
    assert found[1] == round(last["entry_time"].timestamp()) * 1_000_000
    assert found[2] == pytest.approx(float(last["net_pnl"]), abs=1e-8)
    assert found[4] == pytest.approx(float(last["initial_stop"]), abs=1e-8)


def test_what_a_strategy_wrote_is_text_wherever_it_is_shown(browser: Any, dealings: Ran) -> None:
    browser.open(dealings.path / "report.html")
    assert browser.run("document.title") == "inline, spot:BTCUSDT"
    assert EVIL in cells(browser, "Entry tag")
    assert browser.run("document.querySelectorAll('#trades b, #price .readout script').length") == 0
    assert "fast" in text_of(browser, "#price .key")
    assert browser.run("document.querySelectorAll('script').length") == browser.run(
        "document.querySelectorAll('script[type], body > script').length"
    )
    assert browser.errors == []


@pytest.mark.parametrize("width", [1280, 390])
def test_it_changes_between_light_and_dark_and_fits_a_phone(browser: Any, dealings: Ran, width: int) -> None:
    browser.open(dealings.path / "report.html", width=width, dark=True, phone=width < 500)
    back = "getComputedStyle(document.body).backgroundColor"
    dark = browser.run(back)
    browser.run("document.getElementById('theme').click()")
    light = browser.run(back)
    assert sum(map(int, dark[4:-1].split(","))) < 150 < 600 < sum(map(int, light[4:-1].split(",")))
    assert drawn(browser, "equity") > 500
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    browser.run("localStorage.clear()")
    assert browser.errors == []


def test_a_signal_shows_its_features_as_lines_and_names_those_that_are_no_prices(browser: Any, tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", wandering(600, 3))
    config = config_of(
        tmp_path / "lake", ["BTCUSDT"], strategy={"name": "trend_following"}, data={"feature_cache_mb": 0}
    )
    ran = run_prepared(tmp_path, prepare(config))
    write_reports(ran.path, plots=False)
    browser.open(ran.path / "report.html")
    assert "the signal's features fast, slow, computed again" in text_of(browser, "#price .about")
    assert "Not drawn, being no prices: trend.adx" in text_of(browser, "#price .about")
    assert coloured(browser, "price", "gold") > 200
    assert browser.errors == []


def made(folder: Path, kind: str) -> Path:
    """A run of each kind that has little to show, or something bad."""
    if kind == "liquidated":
        return futures_run(folder, [*flat(100, 5), *flat(80, 60)], {0: buy(40)}).path
    scripts: Mapping[str, Mapping[int, Any]] = {
        "no trade": {},
        "one trade": {0: lambda s: [s.buy("BTCUSDT", 1)], 5: lambda s: [s.sell("BTCUSDT", 1)]},
        "open trade": {0: lambda s: [s.buy("BTCUSDT", 1)]},
    }
    script = scripts.get(kind, scripts["one trade"])
    ran = run_on(folder, [(100 + i % 7, 108, 99, 100 + (i + 1) % 7) for i in range(60)], scripted(script))
    if kind != "interrupted":
        return ran.path
    copy = Path(shutil.copytree(ran.path, folder / "copy"))
    text = (copy / "run.json").read_text().replace('"status": "complete"', '"status": "interrupted"')
    (copy / "run.json").write_text(text)
    return copy


@pytest.mark.parametrize(
    ("kind", "where", "said"),
    [
        ("no trade", "#trades", "The run made no trade."),
        ("one trade", "#trades", "1–1 of 1"),
        ("open trade", "#trades", "No trade closed. What is open counts in equity, not among trades."),
        ("liquidated", "#badges", "liquidated once"),
        ("liquidated", "#risk", "um:ETHUSDT\tliquidated\tprice 80.00, balance −400.00000000, maintenance 20.80000000"),
        ("interrupted", "#fault", "The run was interrupted"),
    ],
)
def test_a_run_that_has_little_to_show_says_so_in_a_whole_page(
    browser: Any, tmp_path: Path, kind: str, where: str, said: str
) -> None:
    folder = made(tmp_path, kind)
    write_reports(folder)
    assert (folder / "plots" / "equity.png").is_file()
    browser.open(folder / "report.html")
    assert said in text_of(browser, where)
    for name in ("equity", "drawdown", "price"):
        assert drawn(browser, name) > 100, name
    assert "Assumptions" in text_of(browser, "#assumptions")
    assert browser.errors == []
    assert np.isfinite(float(browser.run("document.documentElement.dataset.ready")))
