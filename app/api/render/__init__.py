"""The picture that the image encoder gets of an image."""
