"""What processes are given to do; a module of its own, because each new process imports it."""

from __future__ import annotations

import os
import signal
import time


def work(item, report):
    report("working", 0, 1)
    if item == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "fails":
        raise ValueError("no such thing")
    if item == "waits":
        time.sleep(600)
    return item.upper()
