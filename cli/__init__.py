"""The `recollect` command, one file a command."""
