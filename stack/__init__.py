"""The stack to look at poolscope's signals with: real components, two services, a load, dashboards and alerts."""
