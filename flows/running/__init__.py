"""What flows do with Prefect while they run: their states, the questions they ask, runs below a run."""
