"""Everything that is known about Anki's own files. Knows nothing of storage or Prefect."""
