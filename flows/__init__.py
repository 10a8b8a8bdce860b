"""What a person starts by name, one flow a file."""
