"""Whom and what a store's data is believed: signatures, and the list of what may be named.

Nothing is imported here.
"""
