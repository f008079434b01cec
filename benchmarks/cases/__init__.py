"""The measured programs. Each runs in a fresh process, with the name of the package to measure as its first argument."""
