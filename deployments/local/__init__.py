"""The server and the worker that `recollect up` keeps running on this computer."""
