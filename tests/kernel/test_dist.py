"""What `make dist` packs: complete, the same bytes each time, and usable where it is unpacked."""
import hashlib
import subprocess
import tarfile

import pytest

from conftest import BUILD

DIST = BUILD / "dist"
COMMANDS = {"report", "writes", "stalls", "doctor", "threads", "inspect", "find", "layout"}


def sums():
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DIST.iterdir() if path.is_file()}


@pytest.fixture(scope="module", name="packed")
def make_dist():
    subprocess.run(["make", "-s", "dist"], check=True, stdout=subprocess.DEVNULL)
    return {path.suffix: path for path in DIST.iterdir() if path.suffix in (".xz", ".deb")}


@pytest.fixture(scope="module", name="tree")
def unpacked(packed, tmp_path_factory):
    where = tmp_path_factory.mktemp("dist")
    with tarfile.open(packed[".xz"]) as tar:
        tar.extractall(where)
    return next(where.iterdir())


def test_same_bytes_again(packed):
    before = sums()
    assert packed[".xz"].name in before
    subprocess.run(["make", "-s", "dist"], check=True, stdout=subprocess.DEVNULL)
    assert sums() == before


def test_sums(packed, tree):
    for where in (packed[".xz"].parent, tree):
        done = subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=where, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    listed = {line.split(maxsplit=1)[1] for line in (tree / "SHA256SUMS").read_text(encoding="ascii").splitlines()}
    assert listed == {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()} - {"SHA256SUMS"}


def test_what_is_in_it(tree):
    said = subprocess.run([str(tree / "culprit"), "--help"], capture_output=True, text=True, check=True).stdout
    assert all(f"\n  {command} " in said for command in COMMANDS)
    assert {p.name for p in (tree / "man").iterdir()} == {"culprit.1", *(f"culprit-{command}.1" for command in COMMANDS)}
    notices = (tree / "COPYRIGHT").read_text(encoding="utf-8")
    assert notices.count("\n==== ") > 10 and "see its sources" not in notices
    assert (tree / "specs/zbs.spec").exists() and (tree / "docs/json.md").exists() and (tree / "README.md").exists()


def test_spec_file_is_the_built_in_one(tree, start_target):
    target = start_target()
    plans = [subprocess.run([str(tree / "culprit"), "writes", "-p", str(target.pid), "--spec", spec, "--dry-run"], capture_output=True, text=True,
                            check=True).stdout for spec in ("zbs", str(tree / "specs/zbs.spec"))]
    assert plans[0] == plans[1] != ""


def test_manual(tree):
    for page in (tree / "man").iterdir():
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", str(page)], capture_output=True, text=True, check=True)
        assert "warning" not in done.stderr or all("line" in x and "adjust" in x for x in done.stderr.splitlines() if "warning" in x), done.stderr
        text = page.read_text(encoding="utf-8")
        assert ".SH SYNOPSIS" in text and ".SH EXAMPLES" in text or page.name == "culprit.1"


def complete(tree, *words):
    script = f'. "{tree}/completion.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _culprit; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return set(subprocess.run(["bash", "-c", script, "bash", str(tree / "culprit"), *words], capture_output=True, text=True, check=True)
               .stdout.split())


def test_completion(tree):
    assert complete(tree, "") >= COMMANDS
    assert complete(tree, "wr") == {"writes"}
    assert {"--spec", "--field", "--json", "-p"} <= complete(tree, "writes", "-")
    assert complete(tree, "stalls", "--thr") == {"--threshold"}
    assert "1" in complete(tree, "threads", "-p", "")
    assert "zbs" in complete(tree, "writes", "--spec", "z")


def test_package(packed, tmp_path):
    deb = str(packed[".deb"])
    assert subprocess.run(["dpkg-deb", "-f", deb, "Package"], capture_output=True, text=True, check=True).stdout == "culprit\n"
    (tmp_path / "var/lib/dpkg/updates").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/info").mkdir()
    (tmp_path / "var/lib/dpkg/status").touch()
    dpkg = ["dpkg", "--root", str(tmp_path)]
    subprocess.run([*dpkg, "-i", deb], check=True, capture_output=True)
    version = subprocess.run([str(tmp_path / "usr/bin/culprit"), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    assert subprocess.run(["dpkg-deb", "-f", deb, "Version"], capture_output=True, text=True, check=True).stdout.strip() == version
    assert (tmp_path / "usr/share/man/man1/culprit-writes.1.gz").exists()
    assert (tmp_path / "usr/share/bash-completion/completions/culprit").exists()
    for document in ("copyright", "changelog.gz", "README.md"):
        assert (tmp_path / "usr/share/doc/culprit" / document).stat().st_size > 0
    assert subprocess.run([*dpkg, "--verify", "culprit"], capture_output=True, text=True, check=True).stdout == ""
    subprocess.run([*dpkg, "-P", "culprit"], check=True, capture_output=True)
    assert not (tmp_path / "usr").exists()
