"""The config models: every key, its type, its default. Unknown keys are refused.

The effective config of a run, with every default spelled out, is its `config.toml`.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer, model_validator

from backtester.config.fields import Bps, Exact, NumberOrName, Section, Time, Timeframe, TimeframeOrNone
from backtester.config.instrument_section import InstrumentSection
from backtester.config.options_section import OptionsSection
from backtester.config.portfolio import PortfolioSection, StrategyEntry, check_entries
from backtester.config.risk_section import ControlSection, RiskSection
from backtester.config.sizing import SizingSection


class RunSection(Section):
    """What to run over. start and end are half-open, UTC; empty means all that the lake has for every symbol."""

    market: Literal["spot", "um", "cm", "option"] = "spot"
    symbols: tuple[str, ...] = ()
    timeframe: Timeframe = "1m"
    start: Time = ""
    end: Time = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42

    @model_validator(mode="before")
    @classmethod
    def _futures_means_um(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("market") == "futures":
            return {**data, "market": "um"}
        return data


class StrategySection(Section):
    """Which strategy, by name, entry point or file.py:Class, and its parameters."""

    name: str = ""
    params: dict[str, Any] | None = None


class AccountSection(Section):
    """What the account starts with, and in what currency it is summed up.

    initial_cash: of the currency, in the wallet of the run's market. wallets: instead, amounts by `wallet:asset`, for
    example "um:USDT" or "cm:BTC"; each market has a wallet of its own, and of several strategies each has its own of
    each market: "um@trend:USDT". conversions: by asset what one unit is worth in
    the currency: an instrument of the run whose price says it, or a number; by default such an instrument is found.
    """

    initial_cash: Annotated[Exact, Field(gt=0, le=10**10, decimal_places=8)] = Decimal(10_000)
    currency: Annotated[str, Field(min_length=1)] = "USDT"
    wallets: dict[str, Annotated[Exact, Field(ge=0, le=10**10, decimal_places=8)]] = Field(default_factory=dict)
    conversions: dict[str, NumberOrName] = Field(default_factory=dict)


class FeeTierSection(Section):
    """Rates from a 30-day volume on, in the account's currency."""

    volume: Annotated[Exact, Field(ge=0, decimal_places=8)]
    maker_bps: Bps
    taker_bps: Bps


class MarketFees(Section):
    """Rates of one market."""

    maker_bps: Bps
    taker_bps: Bps


REGULAR_FEES: Mapping[str, MarketFees] = {
    "spot": MarketFees(maker_bps=Decimal(10), taker_bps=Decimal(10)),
    "um": MarketFees(maker_bps=Decimal(2), taker_bps=Decimal(5)),
    "cm": MarketFees(maker_bps=Decimal(2), taker_bps=Decimal(5)),
    "option": MarketFees(maker_bps=Decimal(3), taker_bps=Decimal(3)),
}
"""The regular tier of each market, in basis points (maker, taker)."""


class FeesSection(Section):
    """Fees in basis points; a negative rate is a rebate. Without values the market's regular tier: spot 10/10, um and
    cm 2/5, option 3/3. markets: rates of some markets of their own.

    spot_asset: "quote" takes spot fees in the quote asset, "received" from what was bought or received.
    discount_pct: how much less a fee is when it is paid in discount_asset, which is taken to be bought when needed: the
    fee is charged in the usual asset, less the discount. Rebates get none.
    """

    maker_bps: Bps | None = None
    taker_bps: Bps | None = None
    markets: dict[str, MarketFees] = Field(default_factory=dict)
    tiers: tuple[FeeTierSection, ...] = ()
    spot_asset: Literal["quote", "received"] = "quote"
    discount_asset: str = ""
    discount_pct: Annotated[Exact, Field(ge=0, lt=100, decimal_places=4)] = Decimal(0)

    def of(self, market: str) -> MarketFees:
        """Return the rates of a market: its own, else those of all, else the regular tier."""
        own, regular = self.markets.get(market), REGULAR_FEES[market]
        if own is not None:
            return own
        return MarketFees(
            maker_bps=regular.maker_bps if self.maker_bps is None else self.maker_bps,
            taker_bps=regular.taker_bps if self.taker_bps is None else self.taker_bps,
        )

    @model_validator(mode="after")
    def _discount_names_its_asset(self) -> "FeesSection":
        if bool(self.discount_asset) != bool(self.discount_pct):
            raise ValueError("discount_asset and discount_pct go together, for example BNB and 25")
        return self

    @model_validator(mode="after")
    def _tiers_ascend(self) -> "FeesSection":
        volumes = [tier.volume for tier in self.tiers]
        if volumes != sorted(set(volumes)) or (volumes and volumes[0] == 0):
            raise ValueError("tiers must have ascending volumes above 0; maker_bps and taker_bps are the tier from 0")
        return self


Share = Annotated[Exact, Field(ge=0, le=100, decimal_places=8)]
Window = Annotated[int, Field(ge=2, le=100_000)]


class SlippageSection(Section):
    """How much worse than the reference price an order that takes liquidity fills.

    bps: always. spread_volatility adds `volatility` times the mean true range of the last `window` candles of the run's
    timeframe; volume_share adds `volume_impact` times the square of the order's share of the candle's volume.
    """

    model: Literal["bps", "spread_volatility", "volume_share"] = "bps"
    bps: Annotated[Bps, Field(ge=0)] = Decimal(1)
    volatility: Share = Decimal("0.1")
    volume_impact: Share = Decimal("0.1")
    window: Window = 20


class ImpactSection(Section):
    """How far an order that takes liquidity moves the price, on top of slippage.

    square_root: coefficient x volatility x sqrt(quantity / volume), both over the last `window` candles of the run's
    timeframe.
    """

    model: Literal["none", "square_root"] = "none"
    coefficient: Share = Decimal(1)
    window: Window = 20


class ExecutionSection(Section):
    """How the simulated exchange behaves where the data leave a choice; the defaults choose against the trader.

    data: what executes orders: trades of an instrument when the run reads them (auto), always or never.
    timeframe: the stored candles that execute; empty: the longest stored from which all that is seen can be made.
    touch_fills: a limit fills when the market touches it (default: must trade through). max_wait: candles that a
    market order waits for a trade before it expires. stop_through: a stop that is already through the market when
    it arrives is rejected, or executes at the market. path: how the price is assumed to go through a candle.
    market_fill: market orders fill at the next open, or in the middle of the next candle.
    participation: the share of a candle's volume that our orders may take; 0 is no cap.
    latency_ms, latency_jitter_ms: how long orders and cancels travel: a fixed time, and up to so much more at random.
    trigger_price: what stops, take-profits and trailing stops watch.
    strict: what the data cannot show is refused instead of assumed.
    """

    data: Literal["auto", "candles", "trades"] = "auto"
    timeframe: TimeframeOrNone = ""
    touch_fills: bool = False
    path: Literal["pessimistic", "optimistic", "open_near_extreme_first"] = "pessimistic"
    market_fill: Literal["open", "mid"] = "open"
    max_wait: Annotated[int, Field(ge=1, le=10_000)] = 5
    stop_through: Literal["reject", "market"] = "reject"
    participation: Annotated[Exact, Field(ge=0, le=1, decimal_places=8)] = Decimal("0.1")
    latency_ms: Annotated[Exact, Field(ge=0, le=86_400_000, decimal_places=3)] = Decimal(0)
    latency_jitter_ms: Annotated[Exact, Field(ge=0, le=86_400_000, decimal_places=3)] = Decimal(0)
    trigger_price: Literal["last", "mark"] = "last"
    strict: bool = False


Leverage = Annotated[int, Field(ge=1, le=150)]
MarginMode = Literal["isolated", "cross"]


class OwnLeverage(Section):
    """What an instrument has of its own; None: as all."""

    leverage: Leverage | None = None
    margin_mode: MarginMode | None = None


class FuturesSection(Section):
    """How positions in futures (um, cm) are secured, and what they cost beside trading.

    position_mode: one position of an instrument, or a long and a short one side by side (hedge). leverage, margin_mode:
    of every instrument; instruments: of some of them others. funding: applied where the lake has
    the rates (auto), or not at all. collateral: other assets in the um wallet that secure its positions with cross
    margin, and how much of their worth counts: BTC = "0.95".
    """

    position_mode: Literal["one_way", "hedge"] = "one_way"
    leverage: Leverage = 1
    margin_mode: MarginMode = "isolated"
    funding: Literal["auto", "off"] = "auto"
    collateral: dict[str, Annotated[Exact, Field(gt=0, le=1, decimal_places=8)]] = Field(default_factory=dict)
    instruments: dict[str, OwnLeverage] = Field(default_factory=dict)


class DataSection(Section):
    """Where the lake is, what a run reads of it, and what gaps in that mean.

    feeds: market data besides the run's candles: `[MARKET:SYMBOL/]KIND[:TIMEFRAME]`; a timeframe alone: candles.
    gap_policy: gaps of unknown cause refuse the run; or it runs over them; or it does so and opens no position from
    the first missing candle on until pause_candles good ones have followed. Recorded outages never refuse a run.
    incomplete: derived candles that lack parts are dropped, or shown with a flag. feature_cache_mb: kept of features.
    """

    dir: str = "data"
    feeds: tuple[str, ...] = ()
    gap_policy: Literal["refuse", "continue", "pause_entries"] = "refuse"
    pause_candles: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    incomplete: Literal["drop", "publish"] = "drop"
    feature_cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 512


class BandSide(Section):
    """What one end of the assumption band changes of the config besides its defaults (config/band.py); only what is
    given counts.
    """

    fees: FeesSection = FeesSection()
    slippage: SlippageSection = SlippageSection()
    execution: ExecutionSection = ExecutionSection()

    @model_serializer
    def given(self) -> dict[str, dict[str, Any]]:
        """Return the keys that were given, by section."""
        return {name: getattr(self, name).model_dump(exclude_unset=True) for name in sorted(self.model_fields_set)}


class BandSection(Section):
    """What `bt run --band` assumes at its two ends; a plain run does not look at it."""

    pessimistic: BandSide = BandSide()
    optimistic: BandSide = BandSide()


class ReportSection(Section):
    """What is written for people once a run is sealed. No digest depends on it; `bt report RUN` writes it again.

    html: report.html. plots: plots/*.png. text: report.txt. csv: trades.csv and equity.csv.
    """

    html: bool = True
    plots: bool = True
    text: bool = True
    csv: bool = False


class BacktestConfig(Section):
    """Everything that decides a run, apart from data and code."""

    run: RunSection = RunSection()
    strategy: StrategySection = StrategySection()
    strategies: tuple[StrategyEntry, ...] = ()
    portfolio: PortfolioSection = PortfolioSection()
    account: AccountSection = AccountSection()
    fees: FeesSection = FeesSection()
    slippage: SlippageSection = SlippageSection()
    impact: ImpactSection = ImpactSection()
    execution: ExecutionSection = ExecutionSection()
    futures: FuturesSection = FuturesSection()
    options: OptionsSection = OptionsSection()
    risk: RiskSection = RiskSection()
    control: tuple[ControlSection, ...] = ()
    sizing: SizingSection = SizingSection()
    data: DataSection = DataSection()
    instruments: dict[str, InstrumentSection] = Field(default_factory=dict)
    band: BandSection = BandSection()
    report: ReportSection = ReportSection()

    @model_validator(mode="after")
    def _strategies_are_apart(self) -> "BacktestConfig":
        check_entries(self.strategies, self.strategy.name)
        return self

    @property
    def model_window(self) -> int:
        """How many candles slippage and impact look back on; 0 when they are fixed rates."""
        slippage = 0 if self.slippage.model == "bps" else self.slippage.window
        return max(slippage, 0 if self.impact.model == "none" else self.impact.window)


class RunContext(Section):
    """Who a run is: its id, the seed of its randomness, the code's revision, and whether it may use the network."""

    run_id: str
    seed: int
    git_sha: str
    allow_net: bool = False


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class RestAddresses(Section):
    """Where an exchange's REST interface answers, by market."""

    spot: str = "https://api.binance.com"
    um: str = "https://fapi.binance.com"
    cm: str = "https://dapi.binance.com"
    option: str = "https://eapi.binance.com"


class DownloaderConfig(Section):
    """Where a download comes from, where it goes, and how patient it is.

    base_dir: the lake; fetched archives are kept below it in `.archives`. log_dir: `<download_run_id>.jsonl`, one line
    per fact (fetched, kept, absent, refused, written); empty writes none. base_url: an address, a `file://` address or
    a folder that is laid out as the archive. listing_url: the S3 listing of the same archive.
    rest_urls: addresses of the REST interface; they are used only beside the archive's own base_url, for who points
    that elsewhere means that nothing else is asked. rest_url: one address for all markets, used always.
    rest_weight: request weight a minute that the REST interface allows; 0 means the market's own limit.
    recheck: ask the source whether files of the store are still what it publishes, and fetch those that are not.
    retries: attempts after the first. backoff_seconds: before the first retry, doubling up to backoff_most_seconds.
    connect_seconds, read_seconds: time-outs of one connection and of one pause within a body.
    rate_limit_seconds: the longest `Retry-After` that is waited for. file_bytes, unpacked_bytes: larger archives and
    larger tables are refused.
    """

    base_dir: Path = Path("data")
    log_dir: Path | None = None
    download_run_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "download"
    base_url: Annotated[str, Field(min_length=1)] = "https://data.binance.vision"
    listing_url: Annotated[str, Field(min_length=1)] = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"
    rest_urls: RestAddresses = RestAddresses()
    rest_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    rest_weight: Annotated[int, Field(ge=0)] = 0
    connections: Annotated[int, Field(ge=1, le=64)] = 8
    recheck: bool = False
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    backoff_seconds: Seconds = 0.5
    backoff_most_seconds: Seconds = 30.0
    connect_seconds: Seconds = 10.0
    read_seconds: Seconds = 30.0
    rate_limit_seconds: Seconds = 600.0
    redirects: Annotated[int, Field(ge=0, le=20)] = 5
    file_bytes: Annotated[int, Field(ge=1)] = 4 * 1024**3
    unpacked_bytes: Annotated[int, Field(ge=1)] = 4 * 1024**3
