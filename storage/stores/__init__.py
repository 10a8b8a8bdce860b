"""Places that a repository can lie on: one store over all of them, one medium for each kind."""
