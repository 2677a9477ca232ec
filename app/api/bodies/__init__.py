"""Request bodies as they arrive: JSON, forms, and any other in one piece."""
