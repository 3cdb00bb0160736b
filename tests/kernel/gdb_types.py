# Run by gdb (source): prints every class and struct that the file's debuginfo defines, and its members with bases, unnamed members and
# protobuf's _impl_ dissolved: "class NAME SIZE", then "NAME OFFSET SIZE bits|-", "virtual" for a virtual base, and an empty line.
import re
import gdb

NAME = re.compile(r"^(?:\d+:)?\s+(?:class|struct)?\s*(.+?);$")


def flat(t, base, out):
    """False: it has a virtual base."""
    for f in t.fields():
        if not hasattr(f, "bitpos"):  # static
            continue
        ft = f.type.strip_typedefs()
        at = base + f.bitpos // 8
        if f.is_base_class:
            if f.bitpos < 0 or is_virtual(t, f):
                return False
            if not flat(ft, at, out):
                return False
        elif ft.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION) and (not f.name or f.name == "_impl_"):
            if not flat(ft, at, out):
                return False
        elif f.bitsize:
            out.append((f.name, at, (f.bitpos % 8 + f.bitsize + 7) // 8, "bits"))
        else:
            out.append(("_vptr" if (f.name or "").startswith("_vptr") else f.name, at, f.type.sizeof, "-"))
    return True


def is_virtual(t, f):
    try:
        return "virtual " + f.name in gdb.execute("ptype " + t.tag, to_string=True).splitlines()[0]
    except (gdb.error, TypeError):
        return False


def dump(name):
    try:
        t = gdb.lookup_type(name).strip_typedefs()
    except gdb.error:
        return
    # typedefs are listed along; a declaration has no members to compare
    if t.code != gdb.TYPE_CODE_STRUCT or t.tag != name or not t.sizeof:
        return
    out = []
    print("class", name, t.sizeof)
    try:
        if flat(t, 0, out):
            for row in sorted(out, key=lambda r: r[1]):
                print(*row)
        else:
            print("virtual")
    except (gdb.error, NotImplementedError, ValueError) as e:
        print("refused", e)
    print()


for name in sorted({m.group(1) for m in map(NAME.match, gdb.execute("info types -q .", to_string=True).splitlines()) if m}):
    dump(name)
