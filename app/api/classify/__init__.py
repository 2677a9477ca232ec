"""Classification of images by loaded heads, or by labels of the request."""
