"""Runs commands, shows each as one would type it, and measures it."""

import os
import shlex
import subprocess
import sys
import time

# Exit codes of Prospect (README): bad data, missing input, cannot write, bad configuration.
BAD_DATA, MISSING_INPUT, IO_FAILURE, BAD_CONFIGURATION = 65, 66, 74, 78


class Failure(Exception):
    """Ends the program with one line and an exit code."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def as_typed(arguments):
    """The command as a line for the shell; a path below the working folder is shown from there."""
    here = os.getcwd() + os.sep
    return " ".join(shlex.quote(str(argument).removeprefix(here)) for argument in arguments)


class Runner:
    """Runs commands one after the other; keeps the seconds they took and the most memory that one of them held."""

    def __init__(self):
        self.seconds, self.peak_bytes = 0.0, 0

    def __call__(self, *arguments):
        """Runs the command to its end, its output on ours, and returns its seconds. A failure of it is ours, with its exit code."""
        print(f"$ {as_typed(arguments)}", flush=True)
        start = time.monotonic()
        process = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.DEVNULL)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.wait()
            raise
        seconds = time.monotonic() - start
        code = os.waitstatus_to_exitcode(status)
        process.returncode = code  # wait4 took the status that Popen would ask for
        self.seconds += seconds
        self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * 1024)
        if code != 0:
            raise Failure(
                code if code > 0 else 128 - code,
                f"the command ended with exit code {code}: {as_typed(arguments)}",
            )
        return seconds


def quietly(*command, cwd):
    """Runs a command whose output matters only when it fails: its last lines are printed then. True: it succeeded."""
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return False
    if result.returncode != 0:
        print("\n".join(result.stdout.splitlines()[-8:]), file=sys.stderr)
    return result.returncode == 0
