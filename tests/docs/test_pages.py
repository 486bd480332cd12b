"""What the documentation lists is what there is."""

import json
import re
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from backtester.config.configs import REGULAR_FEES, BacktestConfig
from backtester.core.errors import BacktesterError
from backtester.core.instruments import MARKETS
from backtester.core.topics import ALL_TOPICS
from backtester.data.downloader.rules import RULES
from backtester.data.schemas import SCHEMAS
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest
from backtester.engine.topology import PAGE
from backtester.engine.topology import page as topology_page
from backtester.strategy.composed.document import (
    Document,
    EntrySection,
    ExitSection,
    ParamEntry,
    SideSection,
    TargetSection,
)
from backtester.strategy.registry import BUILT_IN
from backtester.strategy.signals import ExitPlan
from tests.docs.pages import ROOT, page
from tests.docs.tables import parameters_table, parts_table
from tests.support.cli import bt

MARKDOWN = sorted(p.relative_to(ROOT).as_posix() for d in (".", "docs", "adr") for p in (ROOT / d).glob("*.md"))


def section_models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return the section models below a config model, by key."""
    found = {}
    for key, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if models:
            found[key] = models[0]
    return found


@pytest.mark.parametrize("section", sorted(section_models(BacktestConfig)))
def test_every_key_of_the_config_has_a_row(section: str) -> None:
    text = page("docs/config.md").partition(f"## [{section}")[2].partition("\n## ")[0]
    model = section_models(BacktestConfig)[section]
    keys = set(model.model_fields).union(*(m.model_fields for m in section_models(model).values()))
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_the_parameters_of_a_shipped_strategy_are_those_of_its_model(name: str) -> None:
    text = page("docs/strategies.md").partition(f"## Shipped: {name}\n")[2].partition("\n## ")[0]
    assert parameters_table(name) in text + "\n", "python -m tests.docs.tables writes it"


@pytest.mark.parametrize("kind", ["rule", "formula", "indicator"])
def test_the_parts_of_composed_strategies_are_those_that_there_are(kind: str) -> None:
    assert parts_table(kind) in page("docs/composed.md"), "python -m tests.docs.tables writes it"


def test_every_key_of_a_composed_strategy_is_described() -> None:
    text = page("docs/composed.md").partition("## Sections")[2].partition("\n## ")[0]
    models = [Document, ParamEntry, EntrySection, SideSection, ExitSection, TargetSection, ExitPlan]
    keys = {key for model in models for key in model.model_fields}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []


def test_every_column_metric_and_file_of_a_run_is_described(tmp_path: Path, sample_lake: Path) -> None:
    config = BacktestConfig.model_validate(
        {
            "run": {"symbols": ["BTCUSDT"], "end": "2024-01-03"},
            "strategy": {"name": "sma_extended", "params": {}},
            "data": {"dir": str(sample_lake)},
        }
    )
    run = run_backtest(prepare(config), tmp_path).path
    folder, metrics = page("docs/run-folder.md"), page("docs/metrics.md")
    for file in run.iterdir():
        assert f"`{file.name}`" in folder
    for table in run.glob("*.parquet"):
        text = folder.partition(f"`{table.name}`, a row")[2].partition("\n\n`")[0]
        assert [name for name in pq.read_schema(table).names if f"`{name}`" not in text] == []
    for key, metric in json.loads((run / "metrics.json").read_text()).items():
        is_figure = isinstance(metric, dict) and "definition_id" in metric
        assert f"`{metric['definition_id']}`" in metrics if is_figure else f"| `{key}` |" in metrics


def test_every_kind_and_rule_of_the_lake_is_described() -> None:
    text = page("docs/data.md")
    assert [kind for kind in SCHEMAS if kind not in text] == []
    assert [rule for rule in RULES if f"`{rule}`" not in text] == []
    shared = {"aggTrades", "trades", "fundingRate", "klines"}
    columns = {column.name for kind in shared for column in SCHEMAS[kind].columns}
    assert [name for name in sorted(columns) if name not in text] == []


def test_every_exit_code_is_described() -> None:
    classes, codes = [BacktesterError], set()
    while classes:
        cls = classes.pop()
        codes.add(cls.exit_code)
        classes.extend(cls.__subclasses__())
    text = page("docs/cli.md")
    assert [code for code in sorted(codes | {0}) if f"| {code} |" not in text] == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page(name))
    local = [target for target in targets if not target.startswith("https://")]
    assert [target for target in local if not (ROOT / name).parent.joinpath(target).exists()] == []


def test_the_topology_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == topology_page()


@pytest.mark.parametrize(
    ("topic", "component"),
    [
        ("dues", "Liquidator"),
        ("opens", "Liquidator"),
        ("market", "Liquidator"),
        ("market_chain", "OptionDesk"),
        ("expiries", "SettlementDesk"),
        ("expiries", "OptionDesk"),
        ("funding_due", "FundingDesk"),
    ],
)
def test_the_topology_page_lists_what_listens_only_for_futures_and_options(topic: str, component: str) -> None:
    [row] = [line for line in page("docs/bus_topology.md").splitlines() if line.startswith(f"| `{topic}` |")]
    assert component in row.split("|")[5].replace("→", " ").split()


def test_every_market_of_a_run_is_named_where_markets_are_explained() -> None:
    said = bt("run", "--help").out
    helped = " ".join(said[said.index("--market") : said.index("--timeframe")].split())
    [row] = [line for line in page("docs/config.md").splitlines() if line.startswith("| `market` |")]
    shipped = next(line for line in page("configs/backtest.toml").splitlines() if line.startswith("market = "))
    assert [(m, where) for m in MARKETS for where in (helped, row, shipped) if not re.search(rf"\b{m}\b", where)] == []


def test_every_topic_of_the_log_is_named_by_the_page_of_the_folder() -> None:
    text = page("docs/run-folder.md").partition("- `topic` is one of")[2].partition("- ")[0]
    assert sorted(re.findall(r"`(\w+)`", text)) == sorted(topic.name for topic in ALL_TOPICS if topic.logged)


def test_every_decision_is_linked_by_the_architecture() -> None:
    text = page("docs/architecture.md")
    assert [file.name for file in sorted((ROOT / "adr").glob("0*.md")) if f"(../adr/{file.name})" not in text] == []


def test_no_key_of_a_section_is_described_twice() -> None:
    for section in re.split(r"^## ", page("docs/config.md"), flags=re.M):
        keys = [name for row in re.findall(r"^\| (`[^|]+`) \|", section, flags=re.M) for name in row.split(", ")]
        assert sorted(set(keys)) == sorted(keys), section.splitlines()[0]


def test_the_regular_fees_of_every_market_are_those_of_the_table() -> None:
    for key in ("maker_bps", "taker_bps"):
        row = next(line for line in page("docs/config.md").splitlines() if line.startswith(f"| `{key}` | spot"))
        default = row.split("|")[2].replace("um and cm", "um,cm")
        told = {m: part.split()[1] for part in default.split(", ") for m in part.split()[0].split(",")}
        assert told == {market: str(getattr(fees, key)) for market, fees in REGULAR_FEES.items()}
