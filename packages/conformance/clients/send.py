"""Sends a message: send.py HOST PORT USER TARGET MESSAGE. The shortest client that keeps every MUST."""
import socket, sys

host, port, user, target, message = sys.argv[1:]
server = socket.create_connection((host, int(port))).makefile("rw", encoding="utf-8", newline="\n")
for command in (f"CONNECT {user}", f"SEND {target} {message}"):
    print(command, file=server, flush=True)
    while (answer := server.readline()).startswith("MSG "):
        pass  # a message may come at any time
    if answer not in ("ACCEPT\n", "ACK\n"):
        sys.exit(answer or "the connection is lost")
