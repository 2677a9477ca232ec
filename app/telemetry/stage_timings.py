"""Stage timings: consecutive stages whose seconds add up to the duration of a request."""

import time

STAGES = ("read", "wait", "decode", "preprocess", "queue", "device", "serialise")
"""Stages in the order of a request. Each stage starts where the previous one ends, and ends as follows:

- read: the body is read and parsed, and images given by URL are fetched;
- wait: a decoder or a thread starts with the first item;
- decode: the headers of several images are read, and every text is tokenised;
- preprocess: the last image is decoded and resized;
- queue: the device starts the batch with the last entry of the request;
- device: the device finishes that batch;
- serialise: the answer is written and sent.
"""


class StageTimings:
    """End times of the stages of one request, by the clock `time.perf_counter`, and the number of computed items."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.computed_items = 0  # images and texts; equal ones count each
        self._ends: dict[str, float] = {}

    def mark_end(self, stage: str, at: float | None = None) -> None:
        """Record that a stage ended; the latest end counts if it is recorded several times.

        Args:
            stage: one of `STAGES`.
            at: time by `time.perf_counter`; None takes the present.
        """
        end = time.perf_counter() if at is None else at
        self._ends[stage] = max(end, self._ends.get(stage, end))

    def mark_end_once(self, stage: str) -> None:
        """Record that a stage ends now; nothing changes if its end is already recorded."""
        self._ends.setdefault(stage, time.perf_counter())

    def durations(self) -> dict[str, float]:
        """Seconds per stage until now; 0 for a stage without an end. The last stage takes the remaining time."""
        seconds: dict[str, float] = {}
        previous_end = self.start
        for stage in STAGES[:-1]:
            end = max(previous_end, self._ends.get(stage, previous_end))
            seconds[stage] = end - previous_end
            previous_end = end
        seconds[STAGES[-1]] = time.perf_counter() - previous_end
        return seconds
