"""Anki's packages of a whole collection, `.colpkg`: reading any that Anki ever wrote, and writing those it reads."""
