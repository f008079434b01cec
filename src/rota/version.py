"""The version of Rota; the build reads it from here.

May not import anything: the build backend runs this file on its own.
"""

__version__ = "0.1.0"

#: APScheduler's three other names for it.
version = release = __version__
version_info = (0, 1, 0)
