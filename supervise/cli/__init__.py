"""The command line: `supervise run` and `supervise demo`."""
