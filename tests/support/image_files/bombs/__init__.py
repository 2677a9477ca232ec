"""Small files and documents that claim, or unpack to, a huge size or a huge number of parts.

corpus.py       all bombs by format, and the parameters that each is sent with
dicom.py        nesting, elements, items, fragments, offset tables, deflated and segmented data
tiff.py         directories, tags, strips, tiles, compressed data
raster.py       PNG, JPEG, GIF, BMP, WebP, JPEG 2000, AVIF
volumes.py      NIfTI, NRRD
codestreams.py  JPEG and JPEG 2000, which are also parts of DICOM and TIFF files
documents.py    JSON
"""
