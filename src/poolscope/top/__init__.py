"""`poolscope top`: a running process's connections on a terminal."""
