"""Watches the device: a call that hangs must hang nobody else, and a process that cannot recover must end."""

import asyncio
import logging
from collections.abc import Callable

from app.errors import EncodingFailed
from app.inference.pipeline import Pipeline

logger = logging.getLogger("medimageinsight")

LOOKS_PER_TIMEOUT = 20


async def watch(
    pipeline: Pipeline, *, device_timeout_s: float, unhealthy_exit_s: float, on_unhealthy: Callable[[], None]
) -> None:
    """Look at the device until cancelled.

    When a device call takes longer than `device_timeout_s`, everybody who waits is answered; when it then takes
    `unhealthy_exit_s` more, `on_unhealthy` is called, once.
    """
    given_up = False
    while True:
        await asyncio.sleep(min(1.0, device_timeout_s / LOOKS_PER_TIMEOUT))
        silent_s = pipeline.device.silent_s
        if silent_s <= device_timeout_s:
            given_up = False
            continue
        if not given_up:
            given_up = True
            logger.error("the device has not answered for %.1f seconds; those who wait are given up", silent_s)
            pipeline.give_up(EncodingFailed("The device does not answer; the service may have to be restarted."))
        if silent_s > device_timeout_s + unhealthy_exit_s:
            logger.critical("the device has not answered for %.1f seconds; the process ends", silent_s)
            on_unhealthy()
            return
