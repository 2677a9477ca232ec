"""The pixel data element of a DICOM file to stored values, one frame at a time.

reader.py          entry point: PixelData
encapsulation.py   which fragments belong to which compressed frame
codestream.py      size, precision and colours of a compressed frame, read before it is decoded
decoders.py        pydicom's decoders, called for one frame
run_lengths.py     run-length encoded frames
stored_values.py   the bits that count, their sign, and RGB from YBR
"""
