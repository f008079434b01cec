"""Measurements of Rota and APScheduler 3, side by side; `make bench` runs them. Nothing here is a test."""
