"""The stored formats, apart from the code that uses them; `docs/format.md` describes every byte."""
