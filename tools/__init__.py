"""Programs of the house: `python tools/NAME.py`."""
