"""urllib3 1.26.15+ and 2.x: `install` says which of its methods is wrapped by what."""
