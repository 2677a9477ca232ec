"""The queue: order, deduplication, dropped entries."""

import asyncio
import math

from app.inference.batch import Batch, Entry
from app.inference.queue import EntryQueue

Queue = EntryQueue[str, None, None]


async def filled(**starts_and_sizes: tuple[float, int]) -> Queue:
    """A queue of named entries, each with a caller that waits."""
    queue = Queue()
    for name, (start_tag, size) in starts_and_sizes.items():
        waited_for(queue.add(name, name, size, start_tag))
    return queue


def waited_for(entry: Entry[str, None]) -> "asyncio.Future[None]":
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    entry.waiters.append(waiter)
    return waiter


def taken(queue: Queue, *, budget: int = 100, most: float = math.inf) -> list[str]:
    return [entry.payload for entry in queue.take(Batch(), budget=budget, max_entries=most)]


async def test_the_lowest_start_tag_leads_and_entries_of_its_length_go_with_it() -> None:
    queue = await filled(long=(1.0, 40), short=(0.0, 5), late=(2.0, 6))
    assert taken(queue, budget=12) == ["short", "late"]
    assert taken(queue, budget=12) == ["long"]  # alone it may be larger than the budget
    assert len(queue) == 0


async def test_a_batch_has_at_most_so_many_entries_and_at_least_one() -> None:
    queue = await filled(a=(0.0, 1), b=(1.0, 1), c=(2.0, 1), d=(3.0, 1))
    assert taken(queue, most=2) == ["a", "b"]
    assert taken(queue, most=0) == ["c"]


async def test_what_a_batch_has_already_counts() -> None:
    queue = await filled(a=(0.0, 10), b=(1.0, 10), c=(2.0, 10))
    batch: Batch[str, None, None] = Batch()
    batch.entries = queue.take(batch, budget=25, max_entries=1)
    assert [entry.payload for entry in queue.take(batch, budget=25, max_entries=3)] == ["b"]


async def test_equal_keys_join_until_they_are_closed() -> None:
    queue = Queue()
    entry = queue.add("a", "key", 1, start_tag=5.0)
    assert queue.add("a", "key", 1, start_tag=2.0) is entry
    assert (entry.start_tag, queue.shared, len(queue)) == (2.0, 1, 1)
    queue.close(entry)
    assert queue.add("a", "key", 1, start_tag=0.0) is not entry


async def test_cancelled_entries_are_dropped_when_others_are_taken() -> None:
    queue = Queue()
    for name in ("gone", "wanted"):
        waiter = waited_for(queue.add(name, name, 1, 0.0))
        if name == "gone":
            waiter.cancel()
    assert taken(queue) == ["wanted"]
    assert queue.dropped == 1
    assert [entry.payload for entry in queue.unanswered] == ["wanted"]


async def test_arrived_tells_whether_there_is_anything() -> None:
    queue = await filled(a=(0.0, 1), b=(0.0, 1))
    assert queue.arrived.is_set()
    assert taken(queue, most=1) == ["a"]
    assert queue.arrived.is_set()
    assert taken(queue) == ["b"]
    assert not queue.arrived.is_set()


async def test_a_flow_that_comes_later_starts_where_the_queue_stands() -> None:
    queue = await filled(a=(7.0, 1))
    assert queue.flow().next_start_tag() == 0.0
    assert taken(queue) == ["a"]
    assert queue.flow().next_start_tag() == 7.0
