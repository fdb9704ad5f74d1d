"""Ask this container's process whether it lives: exit status 0 when /livez answers 200.

Processes without a REST API answer on VARANGER_HEALTH_PORT, the gateway on VARANGER_HTTP_PORT.
"""

import os
import sys
import urllib.error
import urllib.request

port = int(os.environ.get("VARANGER_HEALTH_PORT") or 0) or int(os.environ.get("VARANGER_HTTP_PORT") or 8000)
try:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=4) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except (urllib.error.URLError, OSError) as error:
    sys.exit(f"not live: {error}")
