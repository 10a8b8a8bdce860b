"""Starting `recollect up` with the session, by what each system has for that."""
