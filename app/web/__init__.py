"""The page to try the model in: HTML, style and scripts as they are served, without a build step."""
