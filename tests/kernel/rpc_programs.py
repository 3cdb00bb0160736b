"""Programs that speak RPC protocols, as separate processes: gRPC by its own library, baidu_std with messages encoded by protobuf.

usage: rpc_programs.py grpc-server | grpc-client PORT | brpc-server | brpc-client PORT | line-server | proxy PORT | line-client PORT
A server prints its port. Commands come on stdin, one word a line; each is answered by a line."""
import os
import selectors
import socket
import struct
import sys
import threading
import time
from concurrent import futures


def commands(table):
    for line in sys.stdin:
        words = line.split()
        print(table[words[0]](*words[1:]), flush=True)


# gRPC: bytes for messages, so that no generated code is needed

def grpc_server():
    import grpc

    hold = threading.Event()

    def echo(request, context):
        return request

    def fail(request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    def silent(request, context):
        hold.wait()
        return request

    def watch(request, context):
        yield b"first"
        hold.wait()

    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo), "Fail": grpc.unary_unary_rpc_method_handler(fail),
                "Silent": grpc.unary_unary_rpc_method_handler(silent), "Watch": grpc.unary_stream_rpc_method_handler(watch)}
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    commands({"release": lambda: hold.set() or "ok"})


def grpc_client(port):
    import grpc

    pending = []
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def method(name):
        return channel.unary_unary(f"/test.Service/{name}")

    def call(name, count, size="10"):
        done = 0
        for _ in range(int(count)):
            try:
                method(name)(b"x" * int(size), timeout=20)
                done += 1
            except grpc.RpcError:
                pass
        return done

    def start(name, timeout=None):
        pending.append(method(name).future(b"x", timeout=float(timeout) if timeout else None))
        return "ok"

    def watch():
        stream = channel.unary_stream("/test.Service/Watch")(b"x")
        next(stream)
        pending.append(stream)
        return "ok"

    commands({"call": call, "start": start, "watch": watch})


# baidu_std: github.com/apache/brpc, docs/en/baidu_std.md and src/brpc/policy/baidu_rpc_meta.proto

def brpc_meta():
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    text, i32, i64, message = field.TYPE_STRING, field.TYPE_INT32, field.TYPE_INT64, field.TYPE_MESSAGE
    file = descriptor_pb2.FileDescriptorProto(name="meta.proto", package="brpc.policy", syntax="proto2")
    for name, fields in {
            "RpcRequestMeta": [("service_name", 1, text), ("method_name", 2, text), ("log_id", 3, i64), ("timeout_ms", 8, i32)],
            "RpcResponseMeta": [("error_code", 1, i32), ("error_text", 2, text)],
            "RpcMeta": [("request", 1, "RpcRequestMeta"), ("response", 2, "RpcResponseMeta"), ("compress_type", 3, i32),
                        ("correlation_id", 4, i64), ("attachment_size", 5, i32)]}.items():
        m = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            f = m.field.add(name=field_name, number=number, label=field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                f.type, f.type_name = message, f".brpc.policy.{kind}"
            else:
                f.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return factory.GetPrototype(pool.FindMessageTypeByName("brpc.policy.RpcMeta"))


def brpc_pack(meta, data):
    head = meta.SerializeToString()
    return struct.pack(">4sII", b"PRPC", len(head) + len(data), len(head)) + head + data


class Packets:
    """Packets out of a stream, however it is cut."""

    def __init__(self, kind):
        self.kind, self.data = kind, b""

    def feed(self, data):
        self.data += data
        while len(self.data) >= 12:
            _, body, meta = struct.unpack(">4sII", self.data[:12])
            if len(self.data) < 12 + body:
                return
            yield self.kind.FromString(self.data[12:12 + meta])
            self.data = self.data[12 + body:]


def brpc_server():
    """One event loop for all connections. Method Silent is not answered, Fail with an error, Late with ERPCTIMEDOUT."""
    kind = brpc_meta()
    listener = socket.create_server(("127.0.0.1", 0))
    loop = selectors.DefaultSelector()
    loop.register(listener, selectors.EVENT_READ, None)
    print(listener.getsockname()[1], flush=True)
    while True:
        for key, _ in loop.select():
            if key.data is None:
                c, _ = listener.accept()
                loop.register(c, selectors.EVENT_READ, Packets(kind))
                continue
            data = key.fileobj.recv(65536)
            if not data:
                loop.unregister(key.fileobj)
                key.fileobj.close()
            for meta in key.data.feed(data):
                method = meta.request.method_name
                if method == "Silent":
                    continue
                answer = kind(correlation_id=meta.correlation_id)
                answer.response.error_code = {"Fail": 2001, "Late": 1008}.get(method, 0)
                key.fileobj.sendall(brpc_pack(answer, b"y" * 100))


def brpc_client(port):
    """One thread sends, another one reads: no thread waits for a call of its own."""
    kind = brpc_meta()
    c = socket.create_connection(("127.0.0.1", int(port)))
    done = threading.Semaphore(0)
    next_id = [100]

    def reader():
        packets = Packets(kind)
        while True:
            data = c.recv(65536)
            if not data:
                return
            for _ in packets.feed(data):
                done.release()

    def send(name, count, size="20", timeout_ms="0"):
        for _ in range(int(count)):
            next_id[0] += 1
            meta = kind(correlation_id=next_id[0])
            meta.request.service_name, meta.request.method_name = "test.EchoService", name
            if int(timeout_ms):
                meta.request.timeout_ms = int(timeout_ms)
            c.sendall(brpc_pack(meta, b"z" * int(size)))

    def call(name, count, size="20"):
        send(name, count, size)  # all of them, then the answers: they are outstanding together
        for _ in range(int(count)):
            done.acquire()
        return count

    def start(name, count="1", timeout_ms="0"):
        send(name, count, "20", timeout_ms)
        return os.fstat(c.fileno()).st_ino

    def beat(period):
        """Other traffic of the same connection that goes on, and wakes every thread there is."""
        def run():
            while True:
                send("Beat", 1)
                time.sleep(float(period))
        threading.Thread(target=run, daemon=True).start()
        return "ok"

    threading.Thread(target=reader, daemon=True).start()
    commands({"call": call, "start": start, "beat": beat})


# lines of text through a proxy: what it asks of whom is nobody's protocol

def line_server():
    """Answers each line; "silent" never, "late" after 2.5 s."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def serve(c):
        for line in c.makefile("r"):
            if line.startswith("late"):
                time.sleep(2.5)
            if not line.startswith(("silent", "note")):
                c.sendall(line.encode())
    while True:
        c, _ = listener.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()


def proxy(upstream):
    """One event loop. Each client has a connection of its own upstream, opened with its first line and then kept. A line "hold" is
    not sent on and not answered, and "note" is answered first and then sent on, where nobody answers it."""
    listener = socket.create_server(("127.0.0.1", 0))
    loop = selectors.DefaultSelector()
    loop.register(listener, selectors.EVENT_READ, None)
    print(listener.getsockname()[1], flush=True)
    while True:
        for key, _ in loop.select():
            if key.data is None:
                c, _ = listener.accept()
                loop.register(c, selectors.EVENT_READ, ["client", None])
                continue
            side, other = key.data
            data = key.fileobj.recv(4096)
            if not data:
                loop.unregister(key.fileobj)
                key.fileobj.close()
            elif side == "upstream":
                other.sendall(data)
            elif not data.startswith(b"hold"):
                if not other:
                    other = key.data[1] = socket.create_connection(("127.0.0.1", int(upstream)))
                    loop.register(other, selectors.EVENT_READ, ["upstream", key.fileobj])
                if data.startswith(b"note"):
                    key.fileobj.sendall(data)
                other.sendall(data)


def line_client(port):
    c = {}

    def to(name):
        if name not in c:
            s = socket.create_connection(("127.0.0.1", int(port)))
            c[name] = s, s.makefile("r")
        return c[name]

    def ask(name, line):
        to(name)[0].sendall(line.encode() + b"\n")
        return to(name)[1].readline().strip()

    def send(name, line):
        to(name)[0].sendall(line.encode() + b"\n")
        return to(name)[0].getsockname()[1]

    def busy(name, period):
        def run():
            while True:
                ask(name, "beat")
                time.sleep(float(period))
        threading.Thread(target=run, daemon=True).start()
        return "ok"

    commands({"ask": ask, "send": send, "busy": busy})


if __name__ == "__main__":
    {"line-server": line_server, "proxy": proxy, "line-client": line_client, "grpc-server": grpc_server, "grpc-client": grpc_client, "brpc-server": brpc_server,
     "brpc-client": brpc_client}[sys.argv[1]](*sys.argv[2:])
