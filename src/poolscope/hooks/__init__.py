"""The only place that knows private names of other libraries: one file per library."""
