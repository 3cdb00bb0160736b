"""Run inside gdb: every member of the object at ADDRESS of type NAME, bases and _impl_ dissolved, as JSON on one line.
Usage: gdb -batch -ex "python NAME, ADDRESS = '...', 0x..." -x gdb_object.py"""
import json

import gdb

WORDS = (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_INT, gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_CHAR)


def leaves(value, offset, out):
    for field in value.type.strip_typedefs().fields():
        if not hasattr(field, "bitpos") or (field.is_base_class and field.name == ""):
            continue
        at = offset + field.bitpos // 8
        member = value[field]
        kind = member.type.strip_typedefs().code
        if field.is_base_class or field.name in (None, "_impl_") or field.name == "":
            leaves(member, at, out)
        elif field.name.startswith("_vptr"):
            continue
        elif kind in WORDS:
            out[field.name] = {"offset": at, "raw": int(member) & ((1 << 8 * member.type.sizeof) - 1)}
        elif "Repeated" in str(member.type):
            inner = {}
            leaves(member, 0, inner)
            out[field.name] = {"offset": at, "current": inner["current_size_"]["raw"], "total": inner["total_size_"]["raw"]}
        elif field.name in ("_has_bits_", "_cached_size_") or "ArenaStringPtr" in str(member.type):
            pointer = gdb.lookup_type("unsigned long" if member.type.sizeof == 8 else "unsigned int").pointer()
            out[field.name] = {"offset": at, "raw": int(member.address.cast(pointer).dereference())}
    return out


OBJECT = gdb.Value(ADDRESS).cast(gdb.lookup_type(NAME).pointer()).dereference()  # noqa: F821
print("OBJECT " + json.dumps(leaves(OBJECT, 0, {})))
