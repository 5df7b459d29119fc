# tls_clients.py PORT COUNT LAST: opens so many connections with TLS, asks each for /events, says
# "whole" when each has got what ends with LAST, and closes them.
import socket
import ssl
import sys

port, count, last = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode().decode("unicode_escape").encode()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
clients = []
for _ in range(count):
    client = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 120))
    client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    clients.append(client)
for client in clients:
    text = b""
    while last not in text:
        piece = client.recv(65536)
        if not piece:
            sys.exit("the end came first")
        text += piece
print("whole", len(clients))
