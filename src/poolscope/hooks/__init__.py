"""The only place that knows private names of other libraries: a file or a folder for each library."""
