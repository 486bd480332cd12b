"""Publishing queues, draining delivers: first in, first out, to every subscriber, before the next event."""

import asyncio
from typing import Any

import pytest

from backtester.core.bus import Bus, DrainBudgetError
from backtester.core.events import Event, Note
from backtester.core.instruments import InstrumentId
from backtester.core.market import Candle, TickSettled, TimerFired
from backtester.core.topics import T_CANDLES, T_CLOCK, T_NOTES, T_TIMERS, Topic


def note(text: str) -> Note:
    return Note(ts=1, text=text, values={})


def candle(open_time: int) -> Candle:
    return Candle(open_time + 60, InstrumentId("spot:BTCUSDT"), "1m", open_time, 1.0, 1.0, 1.0, 1.0, 1.0)


class Heard:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def by(self, name: str) -> Any:
        return lambda event: self.said.append((name, getattr(event, "text", event.ts)))


def test_publish_delivers_nothing_before_the_drain() -> None:
    bus, heard = Bus(), Heard()
    bus.subscribe(T_NOTES, heard.by("a"))
    bus.publish(T_NOTES, note("1"))
    assert heard.said == []
    bus.drain()
    assert heard.said == [("a", "1")]


def test_every_subscriber_in_wiring_order_before_the_next_event() -> None:
    bus, heard = Bus(), Heard()
    bus.subscribe(T_NOTES, heard.by("first"))
    bus.subscribe(T_NOTES, heard.by("second"))
    bus.publish(T_NOTES, note("1"))
    bus.publish(T_NOTES, note("2"))
    bus.drain()
    assert heard.said == [("first", "1"), ("second", "1"), ("first", "2"), ("second", "2")]


def test_nested_publish_waits_its_turn() -> None:
    bus, heard = Bus(), Heard()

    def answer(event: Note) -> None:
        heard.said.append(("answers", event.text))
        if event.text == "question":
            bus.publish(T_NOTES, note("answer"))

    bus.subscribe(T_NOTES, answer)
    bus.subscribe(T_NOTES, heard.by("listens"))
    bus.publish(T_NOTES, note("question"))
    bus.publish(T_NOTES, note("other"))
    bus.drain()
    assert [text for name, text in heard.said if name == "listens"] == ["question", "other", "answer"]
    assert heard.said.index(("listens", "question")) < heard.said.index(("answers", "other"))


def test_events_of_different_topics_share_one_queue() -> None:
    bus, heard = Bus(), Heard()
    bus.subscribe(T_TIMERS, heard.by("timers"))
    bus.subscribe(T_CLOCK, heard.by("clock"))
    bus.publish(T_CLOCK, TickSettled(1))
    bus.publish(T_TIMERS, TimerFired(2))
    bus.publish(T_CLOCK, TickSettled(3))
    bus.drain()
    assert heard.said == [("clock", 1), ("timers", 2), ("clock", 3)]


def test_handlers_that_answer_each_other_without_end_are_stopped_and_named() -> None:
    bus = Bus(budget=50)
    bus.subscribe(T_NOTES, lambda event: bus.publish(T_TIMERS, TimerFired(event.ts)))
    bus.subscribe(T_TIMERS, lambda event: bus.publish(T_NOTES, note("again")))
    bus.publish(T_NOTES, note("start"))
    with pytest.raises(DrainBudgetError, match="more than 50 events") as caught:
        bus.drain()
    assert {"Note", "TimerFired"} >= set(caught.value.chain)
    assert caught.value.chain


def test_as_many_events_as_the_budget_are_fine() -> None:
    bus, heard = Bus(budget=50), Heard()
    bus.subscribe(T_NOTES, heard.by("a"))
    for _ in range(50):
        bus.publish(T_NOTES, note("x"))
    bus.drain()
    assert len(heard.said) == 50


async def test_async_handlers_are_awaited_in_line() -> None:
    bus, heard = Bus(), Heard()

    async def slow(event: Note) -> None:
        heard.said.append(("slow begins", event.text))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        heard.said.append(("slow ends", event.text))

    bus.subscribe(T_NOTES, slow)
    bus.subscribe(T_NOTES, heard.by("plain"))
    assert bus.has_async_handlers
    bus.publish(T_NOTES, note("1"))
    bus.publish(T_NOTES, note("2"))
    await bus.drain_async()
    one = [("slow begins", "1"), ("slow ends", "1"), ("plain", "1")]
    assert heard.said == one + [(name, "2") for name, _ in one]


async def test_an_async_drain_keeps_the_order_and_the_budget_of_a_plain_one() -> None:
    bus = Bus(budget=20)

    async def again(event: Note) -> None:
        bus.publish(T_NOTES, note("again"))

    bus.subscribe(T_NOTES, again)
    bus.publish(T_NOTES, note("start"))
    with pytest.raises(DrainBudgetError):
        await bus.drain_async()


def test_a_paused_subscription_hears_nothing_and_keeps_its_place() -> None:
    bus, heard = Bus(), Heard()
    first = bus.subscribe(T_NOTES, heard.by("first"))
    bus.subscribe(T_NOTES, heard.by("second"))
    first.pause()
    bus.publish(T_NOTES, note("1"))
    bus.drain()
    first.resume()
    bus.publish(T_NOTES, note("2"))
    bus.drain()
    assert heard.said == [("second", "1"), ("first", "2"), ("second", "2")]


class Tap:
    """A log that keeps what it is given."""

    def __init__(self, bus: Bus) -> None:
        self.events: list[Event] = []
        bus.tap_log(self.write)

    def write(self, topic: Topic[Any], event: Event) -> None:
        self.events.append(event)


def test_event_ids_count_logged_events_only_and_observers_change_nothing() -> None:
    def ids(observers: int) -> list[tuple[int, Any]]:
        bus = Bus()
        tap = Tap(bus)
        bus.subscribe(T_CANDLES, lambda c: bus.publish(T_NOTES, note("seen")))
        for _ in range(observers):
            bus.subscribe(T_CANDLES, lambda c: None)
            bus.subscribe(T_NOTES, lambda n: bus.publish(T_TIMERS, TimerFired(1)))
            bus.subscribe(T_TIMERS, lambda t: None)
        for number in range(3):
            bus.publish(T_CANDLES, candle(60 * number))
            bus.drain()
        return [(event.event_id, event.cause_id) for event in tap.events]

    assert ids(0) == ids(5)
    assert [event_id for event_id, _ in ids(0)] == [1, 2, 3]


def test_a_logged_event_is_on_the_log_when_it_is_published_even_if_nobody_listens() -> None:
    bus = Bus()
    tap = Tap(bus)
    bus.publish(T_NOTES, note("alone"))
    assert [event.event_id for event in tap.events] == [1]


def test_an_event_names_what_was_being_delivered_when_it_was_published() -> None:
    bus = Bus()
    tap = Tap(bus)
    bus.subscribe(T_CANDLES, lambda c: bus.publish(T_NOTES, note("of a candle")))
    bus.subscribe(T_NOTES, lambda n: bus.publish(T_NOTES, note("of a note")) if n.text == "of a candle" else None)
    bus.publish(T_NOTES, note("of nothing"))
    bus.publish(T_CANDLES, candle(120))
    bus.drain()
    causes = {event.text: (event.event_id, event.cause_id) for event in tap.events if isinstance(event, Note)}
    assert causes["of nothing"] == (1, None)
    assert causes["of a candle"] == (2, "spot:BTCUSDT/candle/1m/120")
    assert causes["of a note"] == (3, 2)


def test_a_handler_that_raises_ends_the_drain() -> None:
    bus, heard = Bus(), Heard()

    def fails(event: Note) -> None:
        raise RuntimeError("broken")

    bus.subscribe(T_NOTES, fails)
    bus.subscribe(T_NOTES, heard.by("after"))
    bus.publish(T_NOTES, note("1"))
    with pytest.raises(RuntimeError, match="broken"):
        bus.drain()
    assert heard.said == []


def test_delivering_several_at_once_is_publishing_them_and_draining() -> None:
    def told(*, at_once: bool) -> tuple[list[tuple[str, Any]], list[tuple[Any, Any]]]:
        bus, heard, logged = Bus(), Heard(), []

        def answer(event: Candle) -> None:
            heard.said.append(("answers", event.ts))
            bus.publish(T_NOTES, note(f"of {event.open_time}"))

        bus.tap_log(lambda _, event: logged.append((event.event_id, event.cause_id)))
        bus.subscribe(T_CANDLES, answer)
        bus.subscribe(T_CANDLES, heard.by("listens"))
        bus.subscribe(T_NOTES, heard.by("notes"))
        several = [candle(1), candle(2), candle(3)]
        if at_once:
            bus.deliver_all(T_CANDLES, several)
        else:
            for one in several:
                bus.publish(T_CANDLES, one)
            bus.drain()
        return heard.said, logged

    assert told(at_once=True) == told(at_once=False)
    assert [name for name, _ in told(at_once=True)[0]] == ["answers", "listens"] * 3 + ["notes"] * 3


def test_what_is_delivered_at_once_counts_against_the_budget() -> None:
    bus, heard = Bus(budget=3), Heard()
    bus.subscribe(T_CANDLES, lambda event: bus.publish(T_NOTES, note(str(event.ts))))
    bus.subscribe(T_NOTES, heard.by("notes"))
    with pytest.raises(DrainBudgetError):
        bus.deliver_all(T_CANDLES, [candle(1), candle(2)])
    assert len(heard.said) == 2  # the fourth event is one too many, and is the last that is delivered


def test_an_error_waits_until_all_that_is_delivered_at_once_is_heard() -> None:
    bus, heard = Bus(), Heard()
    bus.subscribe(T_CANDLES, lambda event: bus.fail(ValueError(str(event.open_time))))
    bus.subscribe(T_CANDLES, heard.by("listens"))
    with pytest.raises(ValueError, match=r"^1$"):
        bus.deliver_all(T_CANDLES, [candle(1), candle(2)])
    assert len(heard.said) == 2
