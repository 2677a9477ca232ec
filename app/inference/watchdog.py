"""Watchdog of the device and of the decoders: no request waits for a call that hangs.

A process whose device cannot recover ends. A decoder that takes too long is ended.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from app.errors import EncodingFailed
from app.inference.pipeline import Pipeline

logger = logging.getLogger("medimageinsight")

CHECKS_PER_TIMEOUT = 20


async def watch(
    pipeline: Pipeline, *, device_timeout_s: float, unhealthy_exit_s: float, on_unhealthy: Callable[[], None]
) -> None:
    """Check the device and the decoders until cancelled.

    Seconds in which this process did not run, because it or its machine was paused, do not count.

    Args:
        pipeline: the pipeline of the device and the decoders.
        device_timeout_s: seconds that a device call may take. After that all requests in flight are answered.
        unhealthy_exit_s: further seconds after which `on_unhealthy` is called, once.
        on_unhealthy: ends the process.
    """
    given_up = False
    interval_s = min(1.0, device_timeout_s / CHECKS_PER_TIMEOUT, pipeline.decoders.cpu_s / CHECKS_PER_TIMEOUT)
    while True:
        slept_from = time.monotonic()
        await asyncio.sleep(interval_s)
        paused_s = max(0.0, time.monotonic() - slept_from - interval_s)
        pipeline.device.excuse(paused_s)
        pipeline.decoders.check(paused_s)
        silent_s = pipeline.device.silent_s
        if silent_s <= device_timeout_s:
            given_up = False
            continue
        if not given_up:
            given_up = True
            logger.error("the device has not answered for %.1f seconds; the requests in flight are given up", silent_s)
            pipeline.give_up(EncodingFailed("The device does not answer; restart the service if this persists."))
        if silent_s > device_timeout_s + unhealthy_exit_s:
            logger.critical("the device has not answered for %.1f seconds; the process ends", silent_s)
            on_unhealthy()
            return
