"""A receiver of Stagebook's webhooks: `WEBHOOK_SECRET=whsec_... python receiver.py 9000`.

It verifies each message with `pip install standardwebhooks`, and skips what it has seen before.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 1_048_576

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen: set[str] = set()  # an application keeps the ids in its database, in the transaction that processes the event


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds, of each read and each write

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.send_response_only(413)
            self.end_headers()
            return
        body = self.rfile.read(int(length))
        try:
            event = webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            self.send_response_only(400)
            self.end_headers()
            return
        if event["id"] not in seen:
            seen.add(event["id"])
            detail = event["detail"]
            print(event["time"], detail.get("event_name") or detail.get("name"), event["resources"], flush=True)
        self.send_response_only(204)
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
