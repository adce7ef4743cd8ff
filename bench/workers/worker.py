"""The measured Python process: the same tasks as the JavaScript workers, by subprocess and psutil."""

import json
import os
import signal
import subprocess
import sys
import time

TASK = json.loads(sys.argv[1])
IGNORE = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def micros(since):
    return (time.monotonic_ns() - since) / 1e3


def spawn():
    heap = bytearray(TASK["heapMb"] << 20)
    for at in range(0, len(heap), 4096):
        heap[at] = 1
    arguments = [TASK["child"], "exit"]

    def start():
        return subprocess.Popen(arguments, start_new_session=True, **IGNORE)

    block, total, batch_block, batch_child = [], [], [], []
    for i in range(-30, TASK["count"]):
        since = time.monotonic_ns()
        child = start()
        called = micros(since)
        child.wait()
        if i >= 0:
            block.append(called)
            total.append(micros(since))
    for _ in range(5 if TASK["batch"] else 0):
        since = time.monotonic_ns()
        children = [start() for _ in range(TASK["batch"])]
        batch_block.append(micros(since))
        for child in children:
            child.wait()
        batch_child.append(micros(since) / TASK["batch"])
    return {"blockUs": block, "totalUs": total, "batchBlockUs": batch_block, "batchPerChildUs": batch_child}


def stop_and_count_herd():
    """As in kill.mjs: stops everybody else in this pid namespace, then counts live members of the herd."""
    with open("/proc/1/cmdline", "rb") as file:
        if os.getppid() != 1 or b"bench-init" not in file.read():
            raise RuntimeError("not in a pid namespace of our own")
    os.kill(-1, signal.SIGSTOP)
    count = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                stat = file.read()
        except OSError:
            continue
        if b"(herd)" in stat and stat[stat.rindex(b")") + 2 :][:1] not in b"ZX":
            count += 1
    return count


def kill():
    import select

    def killpg(child):
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def tree(child):
        import psutil

        root = psutil.Process(child.pid)
        members = [*root.children(recursive=True), root]
        for member in members:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                pass
        psutil.wait_procs(members, timeout=3)

    end = {"python": killpg, "psutil": tree}[TASK["method"]]
    ready_fifo, alive_fifo = f"{TASK['directory']}/ready", f"{TASK['directory']}/alive"
    os.mkfifo(ready_fifo)
    os.mkfifo(alive_fifo)
    observer = subprocess.Popen([TASK["observe"], alive_fifo], stdout=subprocess.PIPE)
    done_us, dead_us, survivors = [], [], []
    for trial in range(-1, TASK["trials"]):
        child = subprocess.Popen([TASK["herd"], TASK["shape"], str(TASK["members"]), ready_fifo, alive_fifo], start_new_session=True, **IGNORE)
        with open(ready_fifo, "rb") as ready:
            assert ready.read() == b"READY\n"
        since = time.monotonic_ns()
        end(child)
        done = micros(since)
        dead = select.select([observer.stdout], [], [], TASK["settleMs"] / 1e3)[0]
        if not dead:
            return {"survivors": [stop_and_count_herd()]}
        moment = int(observer.stdout.readline())
        if trial >= 0:
            done_us.append(done)
            dead_us.append((moment - since) / 1e3)
            survivors.append(0)
    return {"doneUs": done_us, "deadUs": dead_us, "survivors": survivors}


def scan():
    import psutil

    wall = []
    for i in range(-1, TASK["count"]):
        time.sleep(TASK["gapMs"] / 1e3)
        since = time.monotonic_ns()
        rows = [p.info for p in psutil.process_iter(["pid", "ppid", "status", "name", "cmdline", "create_time"])]
        took = micros(since)
        assert len(rows) >= TASK["processes"]
        if i >= 0:
            wall.append(took)
    return {"wallUs": wall}


answer = {"spawn": spawn, "kill": kill, "scan": scan}[TASK["suite"]]()
sys.stdout.write(json.dumps(answer))
sys.stdout.flush()
os._exit(0)
