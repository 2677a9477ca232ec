"""Lookup tables of DICOM, whatever their writers made of the standard.

tables.py    modality LUTs, VOI LUTs and the tables of palettes: integers to entries
segments.py  entries of segmented palettes
palettes.py  PALETTE COLOR and supplemental palettes: integers to RGB
"""
