# What scripts/test and scripts/test-all share: how pytest is run, and how the end is told. Sourced by both.

# Many a container sets it, and then each of the hundreds of processes of the tests compiles Rota anew: 0.40 s of processor time
# instead of 0.28 s, and 4.9 s instead of 1.6 s for each worker of pytest that reads the core tests.
unset PYTHONDONTWRITEBYTECODE

failed=()
#: what pytest is run by, for example "coverage run -m"
through=

# Many tests wait, for leases, servers and processes: with two workers more than processors these have work meanwhile.
processors=$(getconf _NPROCESSORS_ONLN)
workers=${ROTA_TEST_WORKERS:-$((processors < 3 ? processors + 2 : 4))}

run() { # run WHAT PYTHON PYTEST-ARGUMENTS…
    local what=$1 python=$2 status
    shift 2
    echo "== Python $what"
    "$python" -m ${through:-} pytest -n "$workers" --dist loadscope "$@"
    status=$?
    # 5: no test was selected, which is right where there is none of that name.
    if [ $status -ne 0 ] && [ $status -ne 5 ]; then failed+=("Python $what"); fi
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
main=$(version_of .venv/bin/python)

finish() { # finish MESSAGE
    if [ ${#failed[@]} -gt 0 ]; then
        printf 'FAILED: %s\n' "${failed[@]}"
        exit 1
    fi
    echo "$1"
}
