"""Clients for the actor tests."""

from __future__ import annotations

import os
import time

from automl_gpt_ray.records import Completion


class Where:
    """Tells the process it runs in and the GPUs it may see."""

    def complete(self, prompt, schema=None):
        gpus = [g for g in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if g]
        return Completion(f"{os.getpid()} {gpus}", "where")


class Dying:
    """Dies when told to, as a process that ran out of memory does."""

    def complete(self, prompt, schema=None):
        if prompt.messages[-1].content == "die":
            os._exit(1)
        return Completion(str(os.getpid()), "dying")


class Sleepy:
    """Sleeps for as many seconds as it is told."""

    def complete(self, prompt, schema=None):
        time.sleep(float(prompt.messages[-1].content))
        return Completion("awake", "sleepy")


class Broken:
    """Cannot be made."""

    def __init__(self):
        raise FileNotFoundError("no such thing")
