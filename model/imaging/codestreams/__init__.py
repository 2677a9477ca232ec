"""Codestreams that stand in files of several formats: their headers, read before a decoder sees them.

jpeg.py       JPEG and JPEG-LS: marker segments, frame header, scans, end
costs.py      what the codestreams of one file may cost together
jpeg_2000.py  JPEG 2000: size, components, tiles, code blocks, packets
"""
