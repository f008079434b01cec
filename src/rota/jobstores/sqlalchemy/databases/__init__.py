"""What databases do differently: a port (``base``), and a class for each database in its own module.

Nothing is imported here.
"""
