"""Other programs, by other authors, that play the same episodes."""

from typing import Any

from tests.reference.episodes import CASH, LASTS, Filled, Market, Plan, by_episode


def backtesting_py(market: Market, plan: Plan) -> dict[int, list[Filled]]:
    """What backtesting.py fills."""
    import backtesting
    import pandas as pd

    class Plays(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            """No indicators."""

        def next(self) -> None:
            now = len(self.data) - 1
            if now - LASTS in plan:
                for order in list(self.orders):
                    if not order.is_contingent:
                        order.cancel()
                self.position.close()
            if now in plan:
                episode = plan[now]
                send = self.buy if episode.sign > 0 else self.sell
                price = {episode.kind: episode.price} if episode.price else {}
                send(size=1, sl=episode.stop or None, tp=episode.target or None, **price)

    frame = pd.DataFrame(
        [bar[1:] for bar in market.bars],
        columns=["Open", "High", "Low", "Close", "Volume"],
        index=pd.to_datetime([bar.time for bar in market.bars], unit="us"),
    )
    cash = CASH * 10**market.decimals
    trades = backtesting.Backtest(frame, Plays, cash=cash, finalize_trades=True).run()["_trades"]
    fills = []
    for trade in trades.itertuples():
        sign = 1 if trade.Size > 0 else -1
        fills += [Filled(trade.EntryBar, sign, round(trade.EntryPrice))]
        fills += [Filled(trade.ExitBar, -sign, round(trade.ExitPrice))]
    return by_episode(plan, sorted(fills, key=lambda fill: fill.bar))


def backtrader(market: Market, plan: Plan) -> dict[int, list[Filled]]:
    """What backtrader fills."""
    import backtrader as bt
    import pandas as pd

    fills: list[Filled] = []

    class Plays(bt.Strategy):  # type: ignore[misc]
        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                fills.append(Filled(len(self) - 1, 1 if order.isbuy() else -1, round(order.executed.price)))

        def next(self) -> None:
            now = len(self) - 1
            if now - LASTS in plan:
                for order in list(self.broker.get_orders_open()):
                    self.cancel(order)
                self.close()
            if now in plan:
                self.enter(*plan[now])

        def enter(self, sign: int, kind: str, price: int, stop: int, target: int) -> None:
            kinds = {"market": bt.Order.Market, "limit": bt.Order.Limit, "stop": bt.Order.Stop}
            enter, leave = (self.buy, self.sell) if sign > 0 else (self.sell, self.buy)
            exits = [(name, at) for name, at in (("stop", stop), ("limit", target)) if at]
            entry = enter(size=1, exectype=kinds[kind], price=price or None, transmit=not exits)
            for name, at in exits:
                leave(size=1, exectype=kinds[name], price=at, parent=entry, transmit=(name, at) == exits[-1])

    frame = pd.DataFrame(
        [bar[1:] for bar in market.bars],
        columns=["open", "high", "low", "close", "volume"],
        index=pd.to_datetime([bar.time for bar in market.bars], unit="us"),
    )
    engine = bt.Cerebro(stdstats=False)
    engine.broker.set_cash(float(CASH * 10**market.decimals))
    engine.adddata(bt.feeds.PandasData(dataname=frame))
    engine.addstrategy(Plays)
    engine.run()
    return by_episode(plan, sorted(fills, key=lambda fill: fill.bar))
