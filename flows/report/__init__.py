"""What a person reads in the Prefect UI after a run: reports, tables and pictures, one kind a module.

Whoever makes one gives back a `Page`; only `showing` and `progress` speak to the server.
"""
