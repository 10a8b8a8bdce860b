"""Single notes out of a private copy of an old collection, and back into a living one."""
