"""Executors: what carries runs out. One kind in each module."""
