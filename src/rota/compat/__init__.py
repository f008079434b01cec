"""What programs and libraries that were written for APScheduler find here beyond its public names.

Holds names only; nothing of it is loaded by ``import rota``.
"""
