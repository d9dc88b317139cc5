"""shuttle: a small HTTP client. A depot lends its lines to parcels, and a parcel that is unpacked brings its line home."""

from shuttle._depot import Depot, fetch
from shuttle._line import Broken, Late, ShuttleError
from shuttle._parcel import Parcel

__all__ = ["Broken", "Depot", "Late", "Parcel", "ShuttleError", "fetch"]
