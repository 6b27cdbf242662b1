"""A process that has imported everything, and runs each command in a fork of itself: a real process, with limits, in milliseconds.

It reads one order a line from standard input, as JSON, and answers each with a line of what came of it.
"""

import json
import os
import resource
import signal
import sys
import time


def _status(name):
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _command(order):
    """What the fork does: it becomes `reglab WORDS` in the order's folder, and never returns."""
    os.setsid()
    for stream, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        os.dup2(os.open(path, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.chdir(order["folder"])
    os.environ.update(order["variables"])
    sys.argv = ["reglab", *order["words"]]
    if order["headroom"]:
        most = _status("VmSize") + order["headroom"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    from reglab.__main__ import main

    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _carried_out(order):
    """What came of it: `code` is None of a command that was still going when its time was over, `worked` the processor's seconds.

    `bytes` are those that it took beyond what it had of this process.
    """
    told, tells = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.write(tells, str(_status("VmRSS")).encode())
        os.close(tells)
        os.close(told)
        _command(order)
    os.close(tells)
    before = int(os.read(told, 100))
    os.close(told)
    is_over = False
    while not is_over:
        pid, ended, usage = os.wait4(child, os.WNOHANG)
        is_over = bool(pid)
        if not is_over:
            if time.monotonic() - start > order["seconds"]:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.002)
    seconds = time.monotonic() - start
    killed = os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
    code = None if killed else os.waitstatus_to_exitcode(ended)
    worked = usage.ru_utime + usage.ru_stime
    return {"code": code, "seconds": seconds, "worked": worked, "bytes": max(0, 1024 * usage.ru_maxrss - before)}


def main():
    import gc

    import sklearn.datasets  # noqa: F401
    import torchvision.datasets  # noqa: F401
    import vl_convert  # noqa: F401

    import reglab.cli.app
    import reglab.report.build
    import reglab.report.check
    import reglab.running.one_run
    import reglab.running.worker
    import reglab.sweep.agent
    import reglab.sweep.local
    import reglab.tracking.wandb_project
    import reglab.training.retest  # noqa: F401

    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_carried_out(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
