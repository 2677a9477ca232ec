"""Independent judges of rendered DICOM files. Nothing here imports the product.

standard.py   the formulas of PS3.3, in numpy: stored values to greys or colours
gdcm.py       stored values of a file, decoded by GDCM
dcmtk.py      pictures of a file, decoded and rendered by DCMTK's programs
"""
