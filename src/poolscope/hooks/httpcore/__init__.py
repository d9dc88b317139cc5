"""httpcore and httpcore2, one set of hooks for both: `install` says which of their methods is wrapped by what."""
