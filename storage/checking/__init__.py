"""Whether what is stored is what was stored, what damage costs, and mending it."""
