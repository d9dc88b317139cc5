"""A stack to see poolscope's signals in: real components, two services, a load, dashboards and alerts."""
