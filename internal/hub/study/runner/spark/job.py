"""Hands the buckets of a study to Havre's workers, for package spark.

Started by spark-submit with the path of a socket. It passes lines between the
socket and `havre worker`; they are sealed, so neither this nor Spark sees a row.
"""
import json
import os
import platform
import re
import socket
import sys
import threading
import time

from pyspark import SparkContext


def passed_on(where):
    """Gives a worker's lines; when it fails, its last words become the error.

    With where, each line tells its executor, and a failure is an answer too.
    """

    def lines_of(lines):
        at = ""
        if where:
            at = "%s/%d " % (socket.gethostname(), os.getppid())
            time.sleep(0.3)  # so that every executor gets some
        last = ""
        try:
            for line in lines:
                if line.startswith("error "):
                    last = line
                else:
                    yield at + line
        except Exception as e:
            if where:
                yield at + (last or "error " + json.dumps({"kind": "internal", "message": str(e)[:400]}))
                return
            raise RuntimeError("havre-worker " + (last or str(e))) from None

    return lines_of


class Run:
    """One pass: each chunk of task lines is one Spark job with one task."""

    def __init__(self, sc, say, order):
        self.sc, self.say, self.number = sc, say, order["run"]
        chunks = order["chunks"]
        self.lines = (
            sc.parallelize(chunks, len(chunks))
            .flatMap(lambda chunk: chunk)
            .pipe(order["command"], checkCode=True)
            .mapPartitions(passed_on(order["where"]))
        )
        self.left = iter(range(len(chunks)))
        self.lock = threading.Lock()
        self.over = False
        self.failure = None
        self.threads = [threading.Thread(target=self.work) for _ in range(min(order["slots"], len(chunks)))]
        threading.Thread(target=self.wait).start()

    def work(self):
        while True:
            with self.lock:
                part = None if self.over else next(self.left, None)
            if part is None:
                return
            try:
                lines = self.sc.runJob(self.lines, list, [part])
            except Exception as e:
                if not self.over:
                    self.failure = str(e)
                    self.stop()
                return
            self.say(*lines)

    def wait(self):
        for t in self.threads:
            t.start()
        for t in self.threads:
            t.join()
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
    lock = threading.Lock()

    def say(*lines):
        data = "".join(line + "\n" for line in lines).encode()
        with lock:
            hub.sendall(data)

    sc = SparkContext()
    sc.setLogLevel("WARN")
    # Executors and their Pythons start now, so that a cluster without room shows.
    cores = sc.defaultParallelism
    sc.parallelize(range(cores), cores).map(lambda i: i).count()
    say("havre " + json.dumps({
        "spark": sc.version,
        "python": platform.python_version(),
        "java": sc._jvm.java.lang.System.getProperty("java.version"),
        "application": sc.applicationId,
        "master": sc.master,
        "parallelism": sc.defaultParallelism,
    }))
    run = None
    for line in hub.makefile("r"):
        order = json.loads(line)
        if "chunks" in order:
            run = Run(sc, say, order)
        elif "stop" in order:
            if run:
                run.stop()
        elif "executors" in order:
            infos = sc._jsc.sc().statusTracker().getExecutorInfos()
            # the first is the driver itself, except where it runs tasks too
            say("havre " + json.dumps({"executors": len(infos) - (0 if sc.master.startswith("local") else 1)}))
    if run:  # the hub has gone
        run.stop()
    sc.stop()


main()
