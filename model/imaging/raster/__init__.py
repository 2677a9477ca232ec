"""Pictures of the formats that are not medicine's own, to 8 bits.

reader.py             which format a file has, and who decodes it
png.py                PNG without the chunks that do not change pixels
jpeg.py               JPEG: without end, with bytes before it, of more than 8 bits
jpeg_2000.py          JPEG 2000: contradictions, and what Pillow reads wrongly
tiff/                 TIFF: pages, tags and values
embedded_sizes.py     sizes in the headers of pictures inside other files
depth.py              values of any type to 8 bits
deep_colours.py       samples of more than 8 bits, grey or RGB, to a picture
damage.py             errors of the libraries to errors of this package
quiet_libraries.py    no lines of the libraries in the log
imagecodecs_extra.py  whether the extra `tiff` is installed
"""
