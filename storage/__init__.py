"""Backups at rest, on any fsspec filesystem. Knows nothing of Anki or Prefect."""
