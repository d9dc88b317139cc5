"""Where it is seen: the hook points of each library, and the reading of its private names."""
