"""A Hugging Face Hub on this computer: the routes that `huggingface_hub` and `datasets` call, over files in memory."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"
REPO = r"/api/datasets/(?P<repo>[^/]+/[^/]+)"


class FakeHub:
    """Data sets by name, each a dictionary of branches, each of files. asked: method and path of every request.

    closed: names that only the token's owner sees; gated: names that nobody may read; forbidden: nor write.
    """

    def __init__(self):
        self.repos, self.asked, self.commits = {}, [], {}
        self.closed, self.gated, self.forbidden = set(), set(), set()

    def add(self, repo, files, branch="main"):
        self.repos.setdefault(repo, {})[branch] = dict(files)

    def commit(self, repo, revision):
        """The branch of a revision, and its commit: a name for the files' content."""
        for branch, files in self.repos[repo].items():
            content = repr(sorted((path, hashlib.sha1(held).hexdigest()) for path, held in files.items()))
            oid = hashlib.sha1(content.encode()).hexdigest()
            if revision in (branch, oid):
                return branch, oid
        return None, None

    @contextlib.contextmanager
    def serve(self):
        """The address of the Hub, while the context lasts."""
        handler = type("Handler", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        for pattern, method in ROUTES:
            if found := re.fullmatch(pattern, path):
                return getattr(self, method)(body=body, **found.groupdict())
        return self._refuse(404, "EntryNotFound")

    @property
    def _signed_in(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _hidden(self, repo, revision="main"):
        """Refuse what is not to be seen; whether that was so."""
        if repo not in self.hub.repos or (repo in self.hub.closed and not self._signed_in):
            self._refuse(404 if self._signed_in else 401, "RepoNotFound")
        elif repo in self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif self.hub.commit(repo, revision)[0] is None:
            self._refuse(404, "RevisionNotFound")
        else:
            return False
        return True

    def create(self, body):
        about = json.loads(body)
        repo = f"{about['organization']}/{about['name']}" if about.get("organization") else about["name"]
        if not self._signed_in:
            return self._refuse(401, "")
        if repo in self.hub.forbidden:
            return self._refuse(403, "")
        if about.get("private") or about.get("visibility") == "private":  # in the words of older and newer clients
            self.hub.closed.add(repo)
        new = repo not in self.hub.repos
        self.hub.repos.setdefault(repo, {"main": {}})
        self._send({"url": f"http://{self.headers['Host']}/datasets/{repo}", "id": repo}, 200 if new else 409)

    def branch(self, repo, branch, body):
        new = branch not in self.hub.repos[repo]
        self.hub.repos[repo].setdefault(branch, dict(self.hub.repos[repo]["main"]))
        self._send({}, 200 if new else 409)

    def validate(self, body):
        self._send({"errors": [], "warnings": []})

    def preupload(self, repo, revision, body):
        files = json.loads(body)["files"]
        self._send({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]})

    def add(self, repo, revision, body):
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.hub.repos[repo][revision][line["value"]["path"]] = content
        _, oid = self.hub.commit(repo, revision)
        url = f"http://{self.headers['Host']}/datasets/{repo}/commit/{oid}"
        self._send({"success": True, "commitOid": oid, "commitUrl": url})

    def info(self, repo, revision="main", body=b""):
        if not self._hidden(repo, revision or "main"):
            branch, oid = self.hub.commit(repo, revision or "main")
            siblings = [{"rfilename": path} for path in self.hub.repos[repo][branch]]
            about = {"id": repo, "sha": oid, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0}
            self._send({**about, "private": repo in self.hub.closed, "gated": False, "disabled": False})

    def tree(self, repo, revision, folder="", body=b""):
        """The files and folders below one of a revision's folders; all of them for a recursive question."""
        if self._hidden(repo, revision):
            return
        files = self.hub.repos[repo][self.hub.commit(repo, revision)[0]]
        folder = (folder or "").strip("/")
        below = [path for path in files if path.startswith(f"{folder}/" if folder else "")]
        deep = "recursive=true" in self.path.casefold()
        start = len(folder) + 1 if folder else 0
        names = {path if deep else path[:start] + path[start:].partition("/")[0] for path in below}
        names |= {path.rpartition("/")[0] for path in below if deep and "/" in path[start:]}
        self._send([self._entry(files, name) for name in sorted(names)])

    def paths(self, repo, revision, body):
        if self._hidden(repo, revision):
            return
        files = self.hub.repos[repo][self.hub.commit(repo, revision)[0]]
        asked = re.findall(r"paths=([^&]+)", body.decode()) if b"paths=" in body else json.loads(body)["paths"]
        there = [path for path in map(unquote, asked) if any(f == path or f.startswith(f"{path}/") for f in files)]
        self._send([self._entry(files, path) for path in there])

    @staticmethod
    def _entry(files, path):
        if path not in files:
            return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
        return {"type": "file", "path": path, "oid": hashlib.sha1(files[path]).hexdigest(), "size": len(files[path])}

    def resolve(self, repo, revision, file, body):
        if self._hidden(repo, revision):
            return
        branch, oid = self.hub.commit(repo, revision)
        content = self.hub.repos[repo][branch].get(file)
        if content is None:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": oid})
        else:
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self._send(content, headers={"X-Repo-Commit": oid, "ETag": etag, "Accept-Ranges": "none"})

    def whoami(self, body):
        self._send({"name": "me", "type": "user", "orgs": []}) if self._signed_in else self._refuse(401, "")

    def _refuse(self, status, code, headers=None):
        headers = {**(headers or {}), **({"X-Error-Code": code} if code else {}), "X-Error-Message": code or "refused"}
        self._send({"error": code or "refused"}, status, headers)

    def _send(self, content, status=200, headers=None):
        held = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(held)))
        self.send_header("Content-Type", "application/octet-stream" if content is held else "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(held)


ROUTES = (
    ("/api/whoami-v2", "whoami"),
    ("/api/repos/create", "create"),
    ("/api/validate-yaml", "validate"),
    (REPO + "/branch/(?P<branch>.+)", "branch"),
    (REPO + "/preupload/(?P<revision>[^/]+)", "preupload"),
    (REPO + "/commit/(?P<revision>[^/]+)", "add"),
    (REPO, "info"),
    (REPO + "/revision/(?P<revision>[^/]+)", "info"),
    (REPO + "/tree/(?P<revision>[^/]+)(?P<folder>/.*)?", "tree"),
    (REPO + "/paths-info/(?P<revision>[^/]+)", "paths"),
    ("/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", "resolve"),
)
