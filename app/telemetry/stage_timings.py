"""Where a request's time goes: stages that follow one another and add up to the whole."""

import time

STAGES = ("read", "wait", "decode", "preprocess", "queue", "device", "serialise")
"""In the order of a request:

- read: the body arrives and is parsed, and images that it gives by their URL are fetched;
- wait: for a thread that decodes;
- decode: base64 is undone, headers are checked, texts are tokenised;
- preprocess: until the last image of the request is decoded and resized;
- queue: until the device begins with the batch that holds the request's last entry;
- device: that batch;
- serialise: the answer is put together, written and sent.
"""


class StageTimings:
    """The end of each stage of one request, on `time.perf_counter`'s clock."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self._ends: dict[str, float] = {}

    def reached(self, stage: str, at: float | None = None) -> None:
        """Note that a stage has ended, now or at a time; of several rows the last one counts."""
        now = time.perf_counter() if at is None else at
        self._ends[stage] = max(now, self._ends.get(stage, now))

    def reached_first(self, stage: str) -> None:
        """Note that a stage has ended, unless that was noted before."""
        self._ends.setdefault(stage, time.perf_counter())

    def durations(self) -> dict[str, float]:
        """Seconds of every stage until now; 0 for one that the request had no need of. The last takes what is left."""
        seconds: dict[str, float] = {}
        before = self.start
        for stage in STAGES[:-1]:
            end = max(before, self._ends.get(stage, before))
            seconds[stage] = end - before
            before = end
        seconds[STAGES[-1]] = time.perf_counter() - before
        return seconds
