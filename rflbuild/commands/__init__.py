"""What each task does: a request in, lines on the terminal, an exit code out."""
