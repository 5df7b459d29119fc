# A real mail server (aiosmtpd) on a free port of 127.0.0.1: smtp_server.py none|starttls|tls USER PASSWORD [CERT KEY]
# Prints its port, and then for each mail a line of JSON: its envelope, and what Python's own mail parser reads in it.
# Ends when its standard input does.
import asyncio, email, email.policy, json, os, ssl, sys, threading
from aiosmtpd.smtp import SMTP, AuthResult

mode, user, password = sys.argv[1:4]
context = None
if mode != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[4:6])


def part_of(part):
    content = part.get_content()
    text = content if isinstance(content, str) else content.decode("latin-1")
    text = text.replace("\r\n", "\n") if isinstance(content, str) else text
    return {"type": part.get_content_type(), "name": part.get_filename() or "", "text": text, "size": len(text)}


class Handler:
    async def handle_DATA(self, server, session, envelope):
        raw = envelope.content
        message = email.message_from_bytes(raw, policy=email.policy.default)
        parts = [part_of(p) for p in message.walk() if not p.is_multipart()]
        lines = raw.partition(b"\r\n\r\n")[2].split(b"\r\n")
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": server.transport.get_extra_info("sslcontext") is not None,
            "user": getattr(session.auth_data, "login", b"").decode(), "helo": session.host_name,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "count": len(message.items()), "parts": parts, "type": message.get_content_type(),
            "longest": max(map(len, lines)), "bare": b"\n" in raw.replace(b"\r\n", b""),
            "defects": [str(d) for p in message.walk() for d in p.defects]}), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=right, handled=False, auth_data=data)


def make():
    if mode == "starttls":
        return SMTP(Handler(), tls_context=context, require_starttls=True, authenticator=authenticate)
    return SMTP(Handler(), authenticator=authenticate, auth_require_tls=False)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    await server.serve_forever()


asyncio.run(main())
