"""The test machine's only file system: busybox, the static binary, the test daemon with its libraries and debuginfo."""
import lzma
import re
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "kernel"))
from daemon_wire import SPEC

VM_HELPERS = ("bpfload", "dropcaps", "rpcload", "stuckcalls")
EL8 = TESTS / "fixtures" / "btf" / "4.18.0-193.60.2.an8_2.btf.xz"


def libraries(binary):
    """The files that the dynamic loader needs for binary, itself included."""
    out = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", out)]


def foreign_libraries(binary, sysroot):
    """The same for a binary of another machine, whose files are below sysroot."""
    found, todo = {}, [binary]
    while todo:
        out = subprocess.run(["readelf", "-W", "-l", "-d", str(todo.pop())], capture_output=True, text=True, check=True).stdout
        for name in re.findall(r"interpreter: (\S+)\]", out) + re.findall(r"\(NEEDED\).*\[(\S+)\]", out):
            base = Path(name).name
            if base not in found:
                found[base] = sysroot / name.lstrip("/") if name.startswith("/") else next(sysroot.glob(f"**/{name}"))
                todo.append(found[base])
    return list(found.values())


def put(root, source, path, mode=0o755):
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def build(build_dir, kernel, guest, image):
    """Writes `image` for the kernel in directory `kernel`; returns its path."""
    root = image.with_suffix(".tree")
    shutil.rmtree(root, ignore_errors=True)
    for directory in ("proc", "sys", "dev", "tmp", "bin", "etc"):
        (root / directory).mkdir(parents=True)
    sysroot = build_dir / "sysroot"  # of a build for another machine
    sysroot = sysroot if sysroot.exists() else Path("/")
    needed = libraries(build_dir / "target") if sysroot == Path("/") else foreign_libraries(build_dir / "target", sysroot)
    put(root, sysroot / "bin" / "busybox", "/bin/busybox")
    put(root, guest / "init", "/init")
    put(root, guest / "tests", "/vm/tests")
    put(root, build_dir / "culprit-static", "/vm/culprit")
    for helper in VM_HELPERS:
        if (build_dir / "tests" / helper).exists():
            put(root, build_dir / "tests" / helper, f"/vm/{helper}")
    put(root, build_dir / "target", "/vm/target")
    put(root, build_dir / ".debug" / "target.debug", "/vm/.debug/target.debug", 0o644)
    (root / "vm" / "el8.2.btf").write_bytes(lzma.decompress(EL8.read_bytes()))
    (root / "vm" / "daemon.spec").write_text(SPEC, encoding="ascii")
    for library in needed:
        # under its own name, which has the version, and the one that the loader looks for
        place = library.relative_to(sysroot)
        put(root, library, str(place.parent / library.resolve().name))
        if place.name != library.resolve().name:
            (root / place).symlink_to(library.resolve().name)
    for module in (kernel / "modules").glob("*.ko"):
        put(root, module, f"/vm/modules/{module.name}", 0o644)
    for obj in (build_dir / "bpf").glob("*.bpf.o"):
        put(root, obj, f"/vm/bpf/{obj.name}", 0o644)
    with open(image, "wb") as out:
        files = subprocess.run(["find", ".", "-print0"], cwd=root, capture_output=True, check=True).stdout
        subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, input=files, stdout=out, check=True)
    shutil.rmtree(root)
    return image
