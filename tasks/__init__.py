"""The steps that flows are chained of, one a file. Here `storage` and `profiles` meet."""
