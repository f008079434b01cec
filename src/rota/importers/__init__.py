"""Importers: jobs of other schedulers become jobs of Rota.

They read their source in place and leave it as it is; nothing that a source says is executed or imported.
"""
