"""Ends with 0 when the service in this container is ready: for HEALTHCHECK, without curl."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
try:
    connection.request("GET", "/health/ready")
    sys.exit(connection.getresponse().status != http.client.OK)
except OSError:
    sys.exit(1)
