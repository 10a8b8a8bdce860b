"""The benchmark: this project beside restic, borg, rclone and Anki's own backups, on the same data and disk."""
