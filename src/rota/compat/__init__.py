"""APScheduler's inner names, as programs read, replace and override them: properties and bridges, no second engine.

Holds no class. Each module serves one kind of object; those who use none of it load ``overrides`` only.
"""
