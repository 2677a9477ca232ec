"""TIFF files (TIFF 6.0, its supplements, and BigTIFF).

file.py          what a TIFF file is to the reader; the rule for who decodes a page
directory.py     the list of pages and the tags of each, within bounds
page.py          what the tags say, checked against each other and against the limits
segments.py      the bytes of tiles and strips, within bounds
single_page.py   one page as a file of its own
compressions.py  numbers, names and readers of compressions
values.py        pages that tifffile decodes
"""
