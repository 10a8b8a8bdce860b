"""The chains themselves, each told once: the flows beside this folder run them in Prefect, the command line without."""
