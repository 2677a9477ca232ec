"""Volumes (NIfTI, NRRD) to 8-bit pictures of their slices.

reader.py   what all formats of volumes share: frame_count, check, decode
slices.py   anatomical planes: which slice a number means, and which side of it is up
nifti.py    NIfTI files to a `Volume`
nrrd.py     NRRD files to a `Volume`
"""
