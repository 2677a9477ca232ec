"""Image files of any accepted format to 8-bit pictures, and pictures to the encoder's pixels. Imports no torch.

images.py         entry point: open_image, check, frame_count, decode
formats.py        which format a file has, and the module that reads it
base64_images.py  images given as base64 text
rendering.py      what a user can choose: frame, axis, window, contrast
frames.py         choice of one frame, page or slice
framed_file.py    a file of which every frame is decoded
windowing.py      values to 256 greys: windows, percentiles
contrast.py       histogram equalisation of a decoded picture
limits.py         size limits and their errors
preprocessing.py  pictures to the pixels of the image encoder
rendered_png.py   pictures to PNG files that show what the encoder gets
codestreams/      JPEG and JPEG 2000 headers, which stand in files of several formats
raster/           PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, AVIF
dicom/            DICOM
volumes/          NIfTI, NRRD
"""
