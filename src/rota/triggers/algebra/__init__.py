"""Triggers that are made of others by operators and methods: unions, differences, filters, shifts, bounds.

Each is in a module of its own, loaded when it is used.
"""
