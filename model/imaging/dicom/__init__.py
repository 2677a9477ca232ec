"""DICOM files to 8-bit pictures, by PS3.3 and PS3.4 of the standard; pydicom parses and decodes.

reader.py       entry point: open_file
header.py       the elements that rendering needs, their limits, the transfer syntax
frames.py       number of frames, choice of one, its functional groups
codestream.py   size of a compressed frame, read before it is decoded
pixels.py       stored values to grey or RGB: photometric interpretation, padding
windowing.py    modality LUT, VOI LUT and window: stored values to greys
"""
