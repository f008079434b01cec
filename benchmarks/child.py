"""Runs one measured program in this fresh process and prints what it found as JSON.

    python -P benchmarks/child.py bursts:threads rota jobs=10000

It imports nothing before the measurement, so that what a package loads is counted as the package's.
"""

import sys


def main() -> None:
    case, package, *settings = sys.argv[1:]
    module_name, _, function = case.partition(":")
    module = __import__(f"benchmarks.cases.{module_name}", fromlist=[function])
    given = dict(_setting(text) for text in settings)
    if "zone" in given:
        from benchmarks.cases import common

        common.use_zone(str(given.pop("zone")))
    found = getattr(module, function)(package, **given)
    import json

    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    return name, int(value) if value.isdigit() else value


if __name__ == "__main__":
    main()
