"""Contract suites: what every job store, executor and scheduler must do, as classes of tests to derive from.

Each is in a module of its own; :mod:`rota.testing` exports those that third parties derive from.
"""
