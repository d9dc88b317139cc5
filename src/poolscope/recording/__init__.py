"""What `run`, ``POOLSCOPE`` and attach do to a process: boot, spools, children, saving, shutdown."""
