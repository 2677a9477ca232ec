"""DICOM files to 8-bit pictures, by PS3.3, PS3.4 and PS3.5 of the standard; pydicom parses and decodes.

reader.py               entry point: open_file
parsing.py              the elements of a file, read within limits
streams.py              the bytes of a file, inflated as they are read
elements.py             values of elements, whatever their writers made of them
sequences.py            items of sequences
header.py               the elements that rendering needs, the SOP class, the transfer syntax
image_pixel.py          size, bits and colours of the pixel data
frames.py               number of frames, choice of one
functional_groups.py    the header elements of one frame
pixel_data/             pixel data to stored values
pixels.py               stored values to greys or colours
padding.py              where stored values stand for no measurement
windowing.py            grey curves: modality LUT or rescaling, VOI LUT or window
lookup_tables/          modality LUTs, VOI LUTs, palettes
"""
