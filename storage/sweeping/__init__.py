"""Removing what nothing needs any more, while others write."""
