"""What the documentation lists is what there is."""

import json
import re
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from backtester.config.configs import BacktestConfig
from backtester.core.errors import BacktesterError
from backtester.data.downloader.rules import RULES
from backtester.data.schemas import SCHEMAS
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest
from backtester.engine.topology import PAGE
from backtester.engine.topology import page as topology_page
from backtester.strategy.registry import BUILT_IN, find_strategy
from tests.docs.pages import ROOT, page

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
def test_every_shipped_strategy_is_described_with_its_defaults(name: str) -> None:
    text = page("docs/strategies.md").partition(f"## Shipped: {name}\n")[2].partition("\n## ")[0]
    for key, field in find_strategy(name).cls.Params.model_fields.items():
        assert f"`{key}`" in text
        if field.default is not None:
            assert re.search(rf"`{key}` {field.default}\b", text), f"{key} is {field.default} by default"


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
    for metric in json.loads((run / "metrics.json").read_text()).values():
        assert f"`{metric['definition_id']}`" in metrics


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
