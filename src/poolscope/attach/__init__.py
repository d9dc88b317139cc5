"""A look into a process that was started without poolscope: `poolscope attach PID`, by Python 3.14's `sys.remote_exec`."""
