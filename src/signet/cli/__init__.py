"""The command line: one file for each command, results on stdout, all else on stderr."""
