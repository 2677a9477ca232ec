"""The evaluation report: JSON, HTML and figures."""
