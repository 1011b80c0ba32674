"""A receiver of Standard Webhooks that judges signatures for itself. Its first answer is 500.

receiver.py PORT SECRET FILE: appends a line of JSON for each request.
"""
import base64
import hashlib
import hmac
import http.server
import json
import sys
import time

PORT, SECRET, FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        name, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = f"{name}.{at}.".encode() + body
        wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        good = f"v1,{wanted}" in self.headers["webhook-signature"].split(" ")
        fresh = abs(time.time() - int(at)) < 300
        code = 500 if Receiver.requests == 0 else 204
        Receiver.requests += 1
        line = {"id": name, "code": code, "good": good and fresh, "body": json.loads(body)}
        with open(FILE, "a") as out:
            out.write(json.dumps(line) + "\n")
        self.send_response(code)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
