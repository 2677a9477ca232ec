"""Exit with 0 if the service in this container is ready. HEALTHCHECK runs this script, so the image needs no curl."""

import http.client
import os
import sys

port = os.environ.get("MEDIMAGEINSIGHT_PORT") or os.environ.get("PORT") or "8000"
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=4)
try:
    connection.request("GET", "/health/ready")
    sys.exit(connection.getresponse().status != http.client.OK)
except OSError:
    sys.exit(1)
