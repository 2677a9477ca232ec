"""PNG, JPEG, TIFF, BMP, GIF, WebP and JPEG 2000 files, read by Pillow."""
