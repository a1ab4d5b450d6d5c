#!/usr/bin/env python3
"""A CPT server written straight from the specification (CPT.md), for nothing but its text: Python 3.9 or newer, no packages.

    python3 plain.py [PORT]         prints the port it listens on; 39168 by default, 0 takes a free one

It keeps everything in memory, and sends nothing that was not asked for: clients poll with SYNC.
"""
import asyncio
import sys
import time

users = {}      # username -> the connection that has it
inboxes = {}    # username -> messages to that user
groups = {}     # group -> messages to that group
last = {}       # username -> the last message, as it was sent

WORDS = {"ACCEPT", "DECLINE", "ACK", "MSG", "ENDSYNC"}


class Declined(Exception):
    """The reason is one of the table."""


def field(text):
    """A name: anything but nothing; spaces part fields, so none can be in it."""
    if not text or text != text.strip() or not text.isprintable():
        raise Declined("invalid_command")
    return text


def timestamp(text):
    if not (text.isascii() and text.isdigit()):
        raise Declined("invalid_command")
    return int(text)


class Connection:
    def __init__(self, writer):
        self.writer = writer
        self.username = None
        self.is_first = True  # nothing has been sent yet

    def say(self, line):
        self.writer.write(line.encode() + b"\n")

    def hear(self, line):
        word, _, rest = line.partition(" ")
        if word == "CONNECT":
            self.connect(field(rest) if " " not in rest else field(""))
        elif word == "SEND":
            target, _, message = rest.partition(" ")
            self.send(field(target), message)
        elif word == "SYNC":
            group, _, after = rest.partition(" ")
            if line == "SYNC":
                self.sync(self.username, 0)
            else:
                self.sync(field(group), timestamp(after))
        elif word in WORDS:
            raise Declined("unsupported_command")
        else:
            raise Declined("invalid_command")

    def connect(self, username):
        if self.username is not None:
            raise Declined("already_logged_in")
        if username in users or username == "system":
            raise Declined("username_taken")
        self.username = username
        users[username] = self
        inboxes.setdefault(username, [])
        self.say("ACCEPT")

    def logged_in(self):
        if self.username is None:
            raise Declined("not_logged_in")

    def send(self, target, message):
        if not message:
            raise Declined("invalid_command")
        self.logged_in()
        # The client MAY re-send a message whose ACK it has missed: the first one on a new connection, then
        is_resend = self.is_first and last.get(self.username) == (target, message)
        self.is_first = False
        if not is_resend:
            last[self.username] = (target, message)
            messages = inboxes[target] if target in inboxes else groups.setdefault(target, [])
            # Later than the one before, so that nothing is missed by who goes on from there
            now = max(time.time_ns() // 1_000_000, messages[-1][0] + 1 if messages else 0)
            messages.append((now, self.username, message))
        self.say("ACK")

    def sync(self, group, after):
        self.logged_in()
        if group in inboxes and group != self.username:
            self.say(f"MSG {group} system 0 this is somebody else's inbox")
        else:
            for sent, sender, message in inboxes.get(group) or groups.get(group, []):
                if sent > after:
                    self.say(f"MSG {group} {sender} {sent} {message}")
        self.say("ENDSYNC")


async def serve(reader, writer):
    connection = Connection(writer)
    try:
        while (line := await reader.readline()).endswith(b"\n"):
            try:
                connection.hear(line[:-1].removesuffix(b"\r").decode())
            except Declined as declined:
                connection.say(f"DECLINE {declined}")
            except UnicodeDecodeError:
                connection.say("DECLINE invalid_command")
            await writer.drain()
    except (ConnectionError, ValueError):  # it broke; or a line is longer than asyncio takes
        pass
    finally:
        if users.get(connection.username) is connection:
            del users[connection.username]
        writer.close()


async def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 39168
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
