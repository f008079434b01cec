"""What databases do differently, a module for each.

Nothing is imported here.
"""
