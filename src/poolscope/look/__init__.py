"""A look into a running process: what its connections do right now, over a unix socket."""
