"""Executors: what carries runs out. One module for each kind, and modules for what several of them share."""
