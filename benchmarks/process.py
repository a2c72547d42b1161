"""A child process that is waited for, never left behind, and whose own words explain its failure."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence


def run(command: Sequence[str], seconds: float, environment: Mapping[str, str], *, name: str, told: str = "") -> str:
    """Standard output of the command, which reads `told`.

    RuntimeError with the line that tells most of what it said if it fails, TimeoutError after so many seconds. It has a process
    group of its own, which is ended with this call, however it ends.
    """
    with subprocess.Popen(
        command, env=dict(environment), start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            said, errors = process.communicate(told, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{name} was not done after {seconds:g} s and was stopped") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        lines = [line for line in (said + errors).splitlines() if line.strip(" -")] or ["no message"]
        wrong = [line for line in lines if "rror" in line]
        raise RuntimeError(f"{name} ended with status {process.returncode}: {(wrong or lines)[-1]}")
    return said
