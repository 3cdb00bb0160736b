"""Third-party programs as Debian packages them, started by the tests with private directories and ports, and always ended."""
import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from conftest import wait_until


def need(*programs):
    """Skips the test, and says so, where a program is not installed."""
    found = []
    for program in programs:
        path = shutil.which(program) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))), None)
        if not path:
            pytest.skip(f"{program} is not installed: tools/install-deps.sh test")
        found.append(path)
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def listens(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def end(process):
    """Ends a process that may be stopped."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait(timeout=20)


def children(pid):
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


class Redis:
    def __init__(self, directory):
        server, self.cli = need("redis-server", "redis-cli")
        self.port = free_port()
        self.process = subprocess.Popen(
            [server, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", "--daemonize", "no"],
            stdout=subprocess.DEVNULL)
        wait_until(lambda: listens(self.port))
        self.pid = self.process.pid

    def call(self, *words):
        return subprocess.run([self.cli, "-p", str(self.port), *words], capture_output=True, text=True, check=True, timeout=20).stdout

    def client(self):
        """A redis-cli that reads commands from a pipe."""
        return subprocess.Popen([self.cli, "-p", str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def client_list(self):
        """{addr: fields} of CLIENT LIST."""
        rows = [dict(word.split("=", 1) for word in line.split()) for line in self.call("CLIENT", "LIST").splitlines() if line]
        return {row["addr"]: row for row in rows}

    def end(self):
        end(self.process)


class Postgres:
    """A cluster below /tmp, owned by the user postgres, who alone may run it."""

    def __init__(self):
        initdb, postgres, self.psql, self.pgbench = need("initdb", "postgres", "psql", "pgbench")
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user postgres")
        self.directory = tempfile.mkdtemp(prefix="culprit-pg-")
        os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self.run_as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": self.directory}
        self.port = free_port()
        data = os.path.join(self.directory, "data")
        subprocess.run([initdb, "-D", data, "-A", "trust", "--no-sync", "--no-locale"], check=True, stdout=subprocess.DEVNULL,
                       timeout=120, **self.run_as)
        self.process = subprocess.Popen(
            [postgres, "-D", data, "-p", str(self.port), "-k", self.directory, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
             "-c", "shared_buffers=16MB", "-c", "logging_collector=off"],
            stderr=subprocess.DEVNULL, **self.run_as)
        wait_until(self.ready, timeout=60, period=0.2)

    def command(self, *words, host="127.0.0.1"):
        return [self.psql, "-X", "-q", "-A", "-t", "-h", host, "-p", str(self.port), "-U", "postgres", "postgres", *words]

    def ready(self):
        return subprocess.run(self.command("-c", "select 1"), capture_output=True, check=False).returncode == 0

    def query(self, sql):
        return subprocess.run(self.command("-c", sql), capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    def client(self, host="127.0.0.1"):
        return PsqlClient(self.command(host=host))

    def end(self):
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(timeout=20)
        finally:
            end(self.process)
            shutil.rmtree(self.directory, ignore_errors=True)


class PsqlClient:
    """psql that reads statements from a pipe; `backend` is the process that serves it."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.pid = self.process.pid
        self.backend = int(self.ask("select pg_backend_pid()"))

    def send(self, sql):
        self.process.stdin.write(sql + ";\n")
        self.process.stdin.flush()

    def ask(self, sql):
        self.send(sql)
        return self.process.stdout.readline().strip()

    def end(self):
        end(self.process)


NGINX = """
daemon off;
worker_processes 1;
user root;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream kept {{ server 127.0.0.1:{upstream}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "here\\n"; }}
        location /proxy {{ proxy_pass http://127.0.0.1:{upstream}; proxy_read_timeout 60s; }}
        location /kept {{ proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


def received(conn):
    try:
        return conn.recv(65536)
    except OSError:
        return b""


class Upstream:
    """An HTTP server that answers at once, until it is told to accept and read and say nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.silent = False
        self.held = []
        self.peers = []  # addresses of the connections that wait for an answer
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, peer = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn, peer), daemon=True).start()

    def serve(self, conn, peer):
        while received(conn):
            if self.silent:
                self.held.append(conn)
                self.peers.append(f"{peer[0]}:{peer[1]}")
                continue
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
        conn.close()

    def end(self):
        self.listener.close()
        for conn in self.held:
            conn.close()


class Nginx:
    def __init__(self, directory):
        nginx, = need("nginx")
        self.upstream = Upstream()
        self.port = free_port()
        config = Path(directory) / "nginx.conf"
        config.write_text(NGINX.format(directory=directory, port=self.port, upstream=self.upstream.port), encoding="ascii")
        self.process = subprocess.Popen([nginx, "-p", str(directory), "-c", str(config), "-e", f"{directory}/error.log"])
        wait_until(lambda: listens(self.port))
        self.worker = wait_until(lambda: children(self.process.pid))[0]

    def get(self, path, keep=False):
        """The connection, with the request sent."""
        conn = socket.create_connection(("127.0.0.1", self.port))
        conn.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode())
        return conn

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        finally:
            end(self.process)
            self.upstream.end()


class Mariadb:
    """A server without system tables: C++, many threads, built without frame pointers."""

    STATEMENTS = ("insert into d.t(v) select md5(rand()) from d.t limit 50;", "select count(*), max(v) from d.t a join d.t b on a.id = b.id + 1;",
                  "select v, count(*) from d.t group by v order by 2 desc limit 3;", "update d.t set v = md5(v) where id % 7 = 0;",
                  "select benchmark(200000, sha1('x'));", "delete from d.t where id % 3 = 0 limit 100;")

    def __init__(self, directory):
        server, self.client = need("mariadbd", "mariadb")
        data = Path(directory) / "mariadb"
        data.mkdir()
        self.socket = data / "s"
        self.process = subprocess.Popen(
            [server, "--no-defaults", "--skip-grant-tables", "--user=root", f"--datadir={data}", f"--socket={self.socket}", "--skip-networking",
             "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0"],
            stderr=subprocess.DEVNULL)
        wait_until(lambda: self.query("select 1").returncode == 0, timeout=60, period=0.3)
        done = self.query("create database d; create table d.t(id int auto_increment primary key, v varchar(100), key(v)) engine=innodb;"
                          "insert into d.t(v) values (md5(rand())), (md5(rand())), (md5(rand()));")
        assert done.returncode == 0, done.stderr

    def command(self):
        return [self.client, "--no-defaults", "--force", "-S", str(self.socket)]

    def query(self, sql):
        return subprocess.run([*self.command(), "-e", sql], capture_output=True, text=True, check=False, timeout=60)

    @contextlib.contextmanager
    def load(self, clients=6):
        """Statements of all kinds from several connections."""
        over = threading.Event()

        def feed(client, number):
            with contextlib.suppress(BrokenPipeError):
                while not over.is_set():
                    client.stdin.write(self.STATEMENTS[number % len(self.STATEMENTS)] + "\n")
                    client.stdin.flush()
                    number += 1

        running = [subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
                   for _ in range(clients)]
        feeders = [threading.Thread(target=feed, args=(client, i)) for i, client in enumerate(running)]
        try:
            for feeder in feeders:
                feeder.start()
            yield
        finally:
            over.set()
            for client in running:
                end(client)
            for feeder in feeders:
                feeder.join()

    def end(self):
        end(self.process)
