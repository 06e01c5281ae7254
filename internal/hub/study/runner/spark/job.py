"""Hands the buckets of a study to Havre's workers, for package spark.

Started by spark-submit with the path of a socket. It passes lines between the
socket and `havre worker`; they are sealed, so neither this nor Spark sees a row.
"""
import gc
import json
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import types

from pyspark import AccumulatorParam, SparkContext


class Answers(AccumulatorParam):
    """Brings the answers of a task to the hub as soon as it ends, while others of its job go on."""

    def __init__(self, say=None):
        self.say = say  # on executors nobody listens: there they add up

    def __reduce__(self):
        return Answers, ()

    def zero(self, value):
        return value

    def addInPlace(self, value, lines):
        if not self.say:
            return value + lines
        self.say(*lines)
        return value


def start(command):
    """Starts a worker, without an environment: nobody's settings or secrets reach it."""
    try:
        worker = subprocess.Popen(command, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as e:
        raise RuntimeError("havre-worker cannot be started: %s" % e) from None
    # PySpark looks through all that it has loaded after each task, for as long as
    # a small bucket takes; from here on it does not.
    gc.freeze()
    return worker


def ask(worker, line):
    """Gives a worker's answer; its last words, or its exit code, become the error."""
    try:
        worker.stdin.write((line + "\n").encode())
        worker.stdin.flush()
        answer = worker.stdout.readline().decode()
    except OSError:  # it has ended without reading
        answer = ""
    if answer.startswith("error "):
        raise RuntimeError("havre-worker " + answer.strip())
    if not answer.endswith("\n"):
        worker.kill()  # if it has ended, its own code stays
        raise RuntimeError("havre-worker exited with error code %d" % worker.wait())
    return answer[:-1]


def task(command, answers, where=False, pause=0):
    """Gives the function that does chunks of task lines on an executor.

    It keeps its worker for the next chunk that comes to the same Python, so that
    a process is started and a plan opened once for many; a worker that failed, or
    was left in the middle of a chunk, is ended. With where, each answer tells its
    executor, and a failure is an answer too; a pause lets every executor get some.
    """

    def do(chunks):
        at = "%s/%d " % (socket.gethostname(), os.getppid()) if where else ""
        time.sleep(pause)
        # What this script itself names is new in each task.
        kept = sys.modules.setdefault("havre_kept", types.ModuleType("havre_kept"))
        worker, kept.worker = getattr(kept, "worker", None), None
        said = []
        try:
            if worker and (worker.args != command or worker.poll() is not None):
                worker.kill()
                worker.wait()
                worker = None
            worker = worker or start(command)
            for chunk in chunks:
                for line in chunk:
                    said.append(at + ask(worker, line))
            kept.worker = worker
        except Exception as e:
            if not where:
                raise
            text = str(e).removeprefix("havre-worker ")
            if not text.startswith("error "):
                text = "error " + json.dumps({"kind": "internal", "message": text[:400]})
            said.append(at + text)
        finally:
            if worker and not kept.worker:
                worker.kill()
                worker.wait()
        answers.add(said)
        return []

    return do


class Run:
    """One pass. Each chunk of task lines is one task; two of Spark's jobs are under way at any time."""

    def __init__(self, sc, say, command, order):
        self.sc, self.say, self.number = sc, say, order["run"]
        chunks = order["chunks"]
        self.chunks = sc.parallelize(chunks, len(chunks))
        self.do = task(command, sc.accumulator([], Answers(say)), order["where"], 0.3 if order["where"] else 0)
        each = max(1, order["slots"] // 2)
        self.left = iter([list(range(i, min(i + each, len(chunks)))) for i in range(0, len(chunks), each)])
        self.lock = threading.Lock()
        self.over = False
        self.failure = None
        self.threads = [threading.Thread(target=self.work) for _ in range(2)]
        threading.Thread(target=self.wait).start()

    def work(self):
        while True:
            with self.lock:
                parts = None if self.over else next(self.left, None)
            if parts is None:
                return
            try:
                self.sc.runJob(self.chunks, self.do, parts)
            except Exception as e:
                if not self.over:
                    self.failure = str(e)
                    self.stop()
                return

    def wait(self):
        for t in self.threads:
            t.start()
            time.sleep(0.05)  # Spark does jobs in the order in which they come, and the largest buckets go first
        for t in self.threads:
            while t.is_alive():
                t.join(1)
                if self.over:  # a job may have been on its way while the others were cancelled
                    self.sc.cancelAllJobs()
        end = {"run": self.number, "end": True}
        if self.failure:
            text = self.failure
            said = re.search("RuntimeError: havre-worker (.*)", text)  # within a long Java trace
            if said:
                text = said.group(1)
            end["failed"] = text[:4000]
        self.say("havre " + json.dumps(end))

    def stop(self):
        self.over = True
        self.sc.cancelAllJobs()


def main():
    hub = socket.socket(socket.AF_UNIX)
    hub.connect(sys.argv[1])
    orders = hub.makefile("r")
    lock = threading.Lock()

    def say(*lines):
        data = "".join(line + "\n" for line in lines).encode()
        with lock:
            hub.sendall(data)

    sc = SparkContext()
    sc.setLogLevel("WARN")
    command = shlex.split(json.loads(orders.readline())["command"])
    # Executors, their Pythons and their workers start now, so that a cluster
    # without room shows. A worker that cannot start shows at the first line.
    cores = sc.defaultParallelism
    none = sc.accumulator([], Answers())
    sc.runJob(sc.parallelize([[]] * cores, cores), task(command, none, where=True))
    say("havre " + json.dumps({
        "spark": sc.version,
        "python": platform.python_version(),
        "java": sc._jvm.java.lang.System.getProperty("java.version"),
        "application": sc.applicationId,
        "master": sc.master,
        "parallelism": sc.defaultParallelism,
    }))
    run = None
    for line in orders:
        order = json.loads(line)
        if "chunks" in order:
            run = Run(sc, say, command, order)
        elif "stop" in order:
            if run:
                run.stop()
        elif "executors" in order:
            infos = sc._jsc.sc().statusTracker().getExecutorInfos()
            # the first is the driver itself, except where it runs tasks too
            say("havre " + json.dumps({"executors": len(infos) - (0 if sc.master.startswith("local") else 1)}))
    if run:  # the hub has gone
        run.stop()
    sc._jsc.stop()
    os._exit(0)  # SparkContext.stop would wait a second for PySpark's own server


main()
