"""The half of the conformance run that needs Python 2.7: the testsuite's fuzzing client or server, for one run.

    suite.py --check              imports everything and says which version this is
    suite.py JOB RESULT           runs the JOB, a JSON file, and leaves the RESULT, another

run.py starts it and holds its standard input: when that ends, the suite stops and still writes what it has. It prints
"listening PORT" once a fuzzing server is up, and "done CASE" when a case has ended.
"""
import fnmatch
import imp
import json
import os
import sys
import threading
import unittest


def import_suite():
    """The testsuite's version and its fuzzing module.

    On the way it imports TLS and a test runner, which plain TCP makes no use of: these stand in for them.
    """
    import twisted.internet
    tls = imp.new_module("twisted.internet.ssl")
    tls.ClientContextFactory = object
    twisted.internet.ssl = sys.modules["twisted.internet.ssl"] = tls
    sys.modules["unittest2"] = unittest
    import autobahntestsuite
    from autobahntestsuite import fuzzing
    return autobahntestsuite.version, fuzzing


def choose(known, wanted, unwanted):
    """The IDs that a pattern of the first list and none of the second fits, in the suite's order."""
    for pattern in wanted + unwanted:
        if not fnmatch.filter(known, pattern):
            sys.exit("no case matches %s" % pattern)

    def fits(case, patterns):
        return any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns)
    return [case for case in known if fits(case, wanted) and not fits(case, unwanted)] or sys.exit("no case is left")


def main(job_path, result_path):
    version, fuzzing = import_suite()
    from twisted.internet import reactor
    with open(job_path) as job_file:
        job = json.load(job_file)
    known = [case.__name__[len("Case"):].replace("_", ".") for case in fuzzing.Cases]
    chosen = choose(known, job["cases"], job["exclude"])

    class Observed(object):
        """What this run changes in both kinds of the suite's factories."""

        def logCase(self, row):
            self.kind.logCase(self, row)
            print "done %s" % row["id"]

        def createReports(self):
            """Does nothing when a client under test asks for reports: they are written once, at the end."""

        def write_result(self):
            # There is one agent, whatever name it gave.
            seen = dict(item for rows in self.agents.values() for item in rows.items())
            keys = ("behavior", "behaviorClose", "result", "resultClose", "duration")
            rows = [dict([(key, seen[case][key]) for key in keys if case in seen], case=case) for case in chosen]
            with open(result_path + ".part", "w") as result_file:
                json.dump({"version": version, "accelerated": "wsaccel" in sys.modules, "rows": rows}, result_file)
            os.rename(result_path + ".part", result_path)
            self.kind.createReports(self, produceJson=False)

    class Client(Observed, fuzzing.FuzzingClientFactory):
        kind = fuzzing.FuzzingClientFactory

    class Server(Observed, fuzzing.FuzzingServerFactory):
        kind = fuzzing.FuzzingServerFactory

    specification = {
        "outdir": job["reports"], "cases": chosen, "exclude-cases": [], "exclude-agent-cases": {},
        "url": "ws://127.0.0.1:9", "servers": [{"agent": job["agent"], "url": job["url"]}]}
    if job["role"] == "server":
        # The server is under test, so the suite is the client; it connects by itself.
        factory = Client(specification)
    else:
        factory = Server(specification)
        port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
        # Known only now; requests whose Host field has another port would be refused.
        factory.setSessionParameters(url="ws://127.0.0.1:%d" % port)
        print "listening %d" % port
    reactor.addSystemEventTrigger("before", "shutdown", factory.write_result)

    def stop_with_the_driver():
        sys.stdin.read()
        reactor.callFromThread(lambda: reactor.running and reactor.stop())
    leash = threading.Thread(target=stop_with_the_driver)
    leash.daemon = True
    leash.start()
    reactor.run()


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        print import_suite()[0]
    else:
        main(*sys.argv[1:])
