"""What Rota offers to tests: virtual time, a scheduler moved by hand, contract suites, and a simulation.

Exports only; each name is loaded when it is first used, because the contract suites need pytest.

========================  ======================================================================================
``VirtualClock``          a clock that stands still until it is moved
``ManualScheduler``       a scheduler in virtual time: ``advance(hours=3)`` runs what becomes due
``VirtualLoop``           the asyncio loop in virtual time on which it runs coroutines
``VirtualExecutor``       its executor
``JobStoreContract``      what every job store must do, as a class of tests to derive from
``SharedJobStoreContract``
                          what it must do besides if several processes may use its data at once
``ReplacedJobStoreContract``
                          what it must do when its place is emptied, put back from a backup, or another one
``SignedJobStoreContract``
                          what it must do besides if it takes a ``signing_key``
``DamageContract``        what a durable store must do with damaged data
``ExecutorContract``      the same for executors
``HostContract``          the same for schedulers
``simulate``              many schedulers on one store, crashes and lost answers included, from one seed
========================  ======================================================================================
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import VirtualClock as VirtualClock
    from .contracts.damage import DamageContract as DamageContract
    from .contracts.executors import ExecutorContract as ExecutorContract
    from .contracts.hosts import HostContract as HostContract
    from .contracts.replaced import ReplacedJobStoreContract as ReplacedJobStoreContract
    from .contracts.shared import SharedJobStoreContract as SharedJobStoreContract
    from .contracts.signed import SignedJobStoreContract as SignedJobStoreContract
    from .contracts.stores import JobStoreContract as JobStoreContract
    from .manual import ManualScheduler as ManualScheduler
    from .simulation import simulate as simulate
    from .virtual_loop import VirtualExecutor as VirtualExecutor
    from .virtual_loop import VirtualLoop as VirtualLoop

_WHERE = {
    "DamageContract": "contracts.damage",
    "ExecutorContract": "contracts.executors",
    "HostContract": "contracts.hosts",
    "JobStoreContract": "contracts.stores",
    "ManualScheduler": "manual",
    "ReplacedJobStoreContract": "contracts.replaced",
    "SharedJobStoreContract": "contracts.shared",
    "SignedJobStoreContract": "contracts.signed",
    "VirtualClock": "clock",
    "VirtualExecutor": "virtual_loop",
    "VirtualLoop": "virtual_loop",
    "simulate": "simulation",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module 'rota.testing' has no attribute {name!r}")
    import sys  # rare
    from importlib import import_module

    if name.endswith("Contract"):
        import pytest  # rare

        suites = {f"rota.testing.{where}" for suite, where in _WHERE.items() if suite.endswith("Contract")}
        suites |= {
            f"rota.testing.contracts.{name}"
            for name in ("stored", "recorded", "records", "leases", "housekeeping")
        }
        pytest.register_assert_rewrite(*suites.difference(sys.modules))  # failed assertions show their values
    found = globals()[name] = getattr(import_module(f"rota.testing.{module}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
