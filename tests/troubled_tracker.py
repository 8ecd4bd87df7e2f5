"""A tracker that writes down what it is told (LOG) and makes one kind of trouble (TROUBLE) at one call (AT)."""

import atexit
import json
import os
import sys
import threading
import time
from typing import Any


class Troubled:
    def begin(self, run: Any) -> None:
        self._told("begin", [run.id, run.name, str(run.folder)])

    def point(self, step: int, numbers: Any) -> None:
        self._told("point", [step, numbers])

    def end(self, summary: Any) -> None:
        self._told("end", summary)

    def _told(self, call: str, given: Any) -> None:
        with open(os.environ["LOG"], "a") as file:
            file.write(json.dumps([call, given]) + "\n")
        print("a greeting")
        if call != os.environ.get("AT"):
            return
        match os.environ["TROUBLE"]:
            case "raise":
                raise RuntimeError("the cloud\nis gone")
            case "leave":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "die":
                os._exit(9)
            case "hang":
                time.sleep(600)
            case "linger":  # and keep the process from ending
                atexit.register(time.sleep, 600)
                threading.Thread(target=time.sleep, args=(600,)).start()
            case "ask":
                assert sys.stdin.read() == ""


TRACKER = Troubled
