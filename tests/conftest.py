"""What all tests share: the settings of hypothesis and Qt, and the servers."""

from __future__ import annotations

import gc
import os
import re
import signal

import pytest
from hypothesis import HealthCheck, settings

from rota.core.states import hold_to_the_tables
from tests.folders import keep_files_in_memory
from tests.servers import (  # noqa: F401  # fixtures
    etcd_server,
    etcd_url,
    mariadb,
    mariadb_url,
    mongodb_url,
    pgbouncer_url,
    postgresql,
    postgresql_url,
    redis_server,
    redis_url,
    secantusdb,
    zookeeper_server,
    zookeeper_url,
)

# Each change of a state of a job or run in the processes of the tests is one that the tables know.
hold_to_the_tables()

# Whoever starts the tests in the background or under nohup has them ignore these, and so would the programs that they start.
for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), usual)

# Thousands of transactions wait for no disk then: a file of tests on SQLite takes half the time.
keep_files_in_memory()

# Qt draws nowhere; it must be said before Qt is loaded.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# A machine may be busy with other tests, so an example has no deadline; a failing seed is printed and can be replayed.
settings.register_profile(
    "rota", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# For the fast gate; the tests have the usual number of examples, a hundred where they do not say otherwise.
settings.register_profile("check", parent=settings.get_profile("rota"), max_examples=25)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "rota"))


#: Who asks for one of these starts a server.
SERVERS = frozenset(
    (
        "postgresql",
        "mariadb",
        "redis_server",
        "etcd_server",
        "zookeeper_server",
        "secantusdb",
        "pgbouncer_url",
        "mongodb_url",
    )
)
_NAMED = re.compile("postgresql|mariadb|redis|etcd|zookeeper|mongodb|pgbouncer")


def pytest_collection_modifyitems(items):
    """Mark the tests that need a server, by their fixtures or the names of their parameters."""
    for item in items:
        parameters = item.callspec.id if hasattr(item, "callspec") else ""
        if SERVERS.intersection(item.fixturenames) or _NAMED.search(parameters):
            item.add_marker("server")


def pytest_collection_finish():
    """Leave the thousands of tests themselves out of each collection of garbage: some tests ask for one, and it took seconds."""
    gc.collect()
    gc.freeze()


#: Tests that share nothing: each goes to whatever worker is free.
SINGLY = (
    "tests/simulation/test_tree.py",
    "tests/types/test_checkers.py",
    "tests/simulation/test_exhaustive.py",
    "tests/compat/test_libraries.py::test_the_library_lives_by_the_alias",
    "tests/slow/test_cron_oracle.py",
    "tests/slow/test_hostile_jobs.py",
    # The parts of the seeds: many, and each of some seconds, so that all workers have some in the end.
    "tests/simulation/test_simulation.py::test_several_nodes",
    "tests/simulation/test_simulation.py::test_one_node",
)
#: What takes long begins first, in this order. As classes and files of few tests these would begin last, and all but one worker
#: would wait for them.
FIRST = (
    "tests/simulation/test_tree.py",
    "tests/contracts/test_damaged_",
    "tests/simulation/test_servers.py",
    "tests/types/test_checkers.py",
    "tests/simulation/test_exhaustive.py",
    "tests/compat/test_libraries.py",
    "tests/slow/",
    "tests/core/test_growth.py",
)
#: Tests on several stores: those on one are in one worker, which starts its server.
ON_STORES = "tests/faults/test_governed_faults.py"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep the tests of a class or file in one worker, but for those; after what takes long the largest begin first."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if nodeid.startswith(SINGLY):
                return nodeid
            if nodeid.startswith(ON_STORES):
                return f"{ON_STORES}[{re.findall(r'[a-z]+', nodeid)[-1]}]"
            return super()._split_scope(nodeid)

        def _assign_work_unit(self, node):
            long = (scope for start in FIRST for scope in self.workqueue if scope.startswith(start))
            first = next(long, None)
            if first is not None:
                self.workqueue.move_to_end(first, last=False)
            super()._assign_work_unit(node)

    return Scheduling(config, log)


def pytest_fixture_setup(fixturedef, request):
    """Hold the mark to what a test does."""
    if fixturedef.argname in SERVERS and request._pyfuncitem.get_closest_marker("server") is None:
        pytest.fail(
            f"this test asks for {fixturedef.argname}: mark it with pytest.mark.server", pytrace=False
        )


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """Let a report cross to another process: what hostile jobs log may hold lone surrogates, which nobody can encode."""
    return _encodable((yield))


def _encodable(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return type(value)(map(_encodable, value)) if type(value) in (list, tuple) else value
