"""The table "Formats" of `docs/images.md`: each row has a test, in `raster.py`, `depths.py` or `medical.py`."""
