"""The hook points of each library, and the code that reads its private names."""
