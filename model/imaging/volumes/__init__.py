"""Volumes (NIfTI, NRRD) to 8-bit pictures of their slices.

reader.py             what all formats of volumes share: frame_count, check, decode
slices.py             anatomical planes: which slice a number means, and which side of it is up
orientation.py        directions of axes, checked and completed
stored_values.py      values in a file, loaded once
compression.py        gzip and bzip2 data of several members, within limits
nifti.py              NIfTI files to a `Volume`
nifti_header.py       the fields of a NIfTI header
nifti_orientation.py  sform, qform and pixdim
nrrd.py               NRRD files to a `Volume`
nrrd_header.py        the fields of a NRRD header
"""
