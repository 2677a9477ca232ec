"""Start-time fair queueing, without threads or clocks."""

import asyncio

import pytest

from app.fair_queueing import FairSemaphore, Flow, RoundRobinSemaphore, VirtualTime


def test_a_small_request_goes_before_what_a_large_one_has_left() -> None:
    time = VirtualTime()
    large = Flow(time)
    starts = [large.next_start_tag() for _ in range(256)]
    time.advance(starts[9])  # ten are done
    assert Flow(time).next_start_tag() < starts[10]


def test_requests_that_come_together_share_equally() -> None:
    time = VirtualTime()
    flows = {"a": Flow(time), "b": Flow(time)}
    queue = sorted((flow.next_start_tag(), name) for name, flow in flows.items() for _ in range(4))
    assert "".join(name for _, name in queue) == "abababab"


def test_a_large_entry_pays_for_its_size() -> None:
    time = VirtualTime()
    long_texts, short_texts = Flow(time), Flow(time)
    queue = sorted([(long_texts.next_start_tag(40), "long") for _ in range(2)])
    queue += [(short_texts.next_start_tag(10), "short") for _ in range(5)]
    assert [name for _, name in sorted(queue)] == ["long", *["short"] * 4, "long", "short"]


def test_a_request_that_was_idle_has_saved_up_nothing() -> None:
    time = VirtualTime()
    idle, busy = Flow(time), Flow(time)
    idle.next_start_tag()
    for _ in range(5):
        time.advance(busy.next_start_tag())
    assert idle.next_start_tag() == time.now


async def entered(order: list[float], semaphore: FairSemaphore, start_tag: float, leave: asyncio.Event) -> None:
    async with semaphore.place(start_tag):
        order.append(start_tag)
        await leave.wait()


async def test_the_lowest_start_tag_gets_the_next_place() -> None:
    semaphore, order, leave = FairSemaphore(1), list[float](), asyncio.Event()
    tasks = []
    for start_tag in (9.0, 3.0, 1.0, 2.0):
        tasks.append(asyncio.create_task(entered(order, semaphore, start_tag, leave)))
        await asyncio.sleep(0)
    assert order == [9.0]  # it was alone when it came
    leave.set()
    await asyncio.gather(*tasks)
    assert order == [9.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("let_in_first", [False, True])
async def test_a_cancelled_wait_takes_no_place(let_in_first: bool) -> None:
    semaphore, leave = FairSemaphore(1), asyncio.Event()
    holder = asyncio.create_task(entered([], semaphore, 0, leave))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(entered([], semaphore, 1, leave))
    await asyncio.sleep(0)
    if let_in_first:
        leave.set()
        await holder
    waiting.cancel()
    leave.set()
    await asyncio.gather(holder, waiting, return_exceptions=True)
    async with asyncio.timeout(1), semaphore.place(2):
        pass


@pytest.mark.parametrize("places", [1, 2])
async def test_owners_of_the_places_take_turns(places: int) -> None:
    turns, order = RoundRobinSemaphore(places), list[str]()

    async def turn(owner: str) -> None:
        await turns.acquire(owner)
        order.append(owner)
        await asyncio.sleep(0)
        turns.release(owner)

    for _ in range(places):
        assert turns.free
        await turns.acquire("images")
    tasks = []
    for owner in ("images", "images", "texts", "texts"):
        tasks.append(asyncio.create_task(turn(owner)))
        await asyncio.sleep(0)
    assert (turns.free, order) == (0, [])
    turns.release("images")
    await asyncio.gather(*tasks)
    assert order == ["texts", "images", "texts", "images"]
    assert turns.free


@pytest.mark.parametrize("granted_first", [False, True])
async def test_a_cancelled_turn_goes_to_the_next(granted_first: bool) -> None:
    turns = RoundRobinSemaphore(1)
    await turns.acquire("images")
    given_up = asyncio.create_task(turns.acquire("texts"))
    await asyncio.sleep(0)
    if granted_first:
        turns.release("images")
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    if not granted_first:
        turns.release("images")
    async with asyncio.timeout(1):
        await turns.acquire("images")
